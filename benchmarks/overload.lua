-- Asks one question again and again; counts answers and refusals. Argument: mean milliseconds between two requests of a
-- connection, 0 for none.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  pause = tonumber(arguments[1]) or 0
  answered, refused, other = 0, 0, 0
  wrk.method = "POST"
  wrk.body = '{"question": "Mikä on sauna?"}'
  wrk.headers["content-type"] = "application/json"
end

function delay()
  return pause == 0 and 0 or math.random(0, 2 * pause)
end

function response(status)
  if status == 200 then
    answered = answered + 1
  elseif status == 429 then
    refused = refused + 1
  else
    other = other + 1
  end
end

function done(summary)
  for _, thread in ipairs(threads) do
    io.write(string.format('{"answered": %d, "refused": %d, "other": %d, "seconds": %.3f}\n',
      thread:get("answered"), thread:get("refused"), thread:get("other"), summary.duration / 1e6))
  end
end
