// Calls of the service: its errors, its events, and whether its models are ready.

import { has, language, t } from "./i18n.js";
import { currentKey, otherKey } from "./key.js";

export class ServiceError extends Error {
  constructor(code, message = "", { status = 0, stage = "", retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { code, status, stage, retryAfter });
  }

  /** The error in the reader's language; `message` is the service's own sentence, in English. */
  get sentence() {
    if (this.stage && ["stage_failed", "stage_unavailable"].includes(this.code)) return t(`errors.${this.code}`, { stage: stageName(this.stage) });
    return has(`errors.${this.code}`) ? t(`errors.${this.code}`) : t("errors.other");
  }
}

export const stageName = (stage) => (has(`parts.${stage}`) ? t(`parts.${stage}`) : stage);

/** Return the response to a call that succeeded. `json`: the body. Asks for a key where one is needed. */
export async function call(path, { json, ...init } = {}) {
  for (;;) {
    const key = currentKey();
    const response = await send(path, json, init, key);
    if (response.ok) return response;
    const error = await failure(response);
    if (error.status !== 401 || !(await otherKey(key))) throw error;
  }
}

async function send(path, json, init, key) {
  const headers = { ...(json ? { "content-type": "application/json" } : {}), ...(key ? { authorization: `Bearer ${key}` } : {}) };
  try {
    return await fetch(path, { ...init, headers, body: json ? JSON.stringify(json) : init.body });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServiceError("network");
  }
}

async function failure(response) {
  const { error } = await response.json().catch(() => ({}));
  const after = Number(response.headers.get("retry-after"));
  const { code = "other", message = `HTTP ${response.status}`, stage } = error ?? {};
  return new ServiceError(code, message, { status: response.status, stage, retryAfter: after || null });
}

/** Yield the server-sent events of a response as {kind, data}. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let kept = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      kept += value;
      for (let end; (end = kept.indexOf("\n\n")) >= 0; kept = kept.slice(end + 2)) {
        const event = parse(kept.slice(0, end));
        if (event) yield event;
      }
    }
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServiceError("network");
  }
}

function parse(block) {
  const lines = block.split("\n");
  const field = (name) => lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length)).join("\n");
  const data = field("data: ");
  return data ? { kind: field("event: "), data: JSON.parse(data) } : null;  // comments keep the connection alive
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Wait until all models are loaded; `report` gets a sentence at each look in which they are not. */
export async function untilReady(report, signal) {
  for (; ; await pause(1000)) {
    signal?.throwIfAborted();
    const { ready, stages } = await fetch("/readyz", { signal }).then((response) => response.json()).catch(() => ({}));
    if (ready) return;
    if (stages && Object.values(stages).every((state) => state === "ready")) return;  // it is shutting down, which a call reports
    if (stages) report(readiness(stages));
  }
}

function readiness(stages) {
  const inState = (state) => new Intl.ListFormat(language).format(
    Object.keys(stages).filter((stage) => stages[stage] === state).map(stageName));
  const failed = inState("failed"), loading = inState("loading");
  return failed ? t("states.load_failed", { stages: failed }) : t("states.loading", { stages: loading });
}
