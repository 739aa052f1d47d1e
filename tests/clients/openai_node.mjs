// OpenAI's client for JavaScript.
import { createRequire } from "node:module";
const OpenAI = createRequire(`${process.env.CLIENTS_NODE}/`)("openai").default;

const client = new OpenAI({ baseURL: `${process.env.QTTRAG_URL}/v1`, apiKey: process.env.QTTRAG_KEY, maxRetries: 0 });
const model = "qtt_rag";
const question = { role: "user", content: "Mikä on Suomen pääkaupunki?" };
const tool = { type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } };

const expect = (condition, what) => {
  if (!condition) throw new Error(what);
};
const ask = async (messages, more = {}) =>
  (await client.chat.completions.create({ model, messages, ...more })).choices[0].message.content;

const checks = {
  plain: async () => expect(await ask([question]), "no answer"),
  stream: async () => {
    let text = "";
    const chunks = await client.chat.completions.create({ model, messages: [question], stream: true });
    for await (const chunk of chunks) text += chunk.choices[0]?.delta?.content ?? "";
    const whole = await ask([question]);
    expect(text && text === whole, `streamed ${text}, whole ${whole}`);
  },
  follow_up: async () => {
    const turns = [question, { role: "assistant", content: await ask([question]) }];
    expect(await ask([...turns, { role: "user", content: "Entä Ruotsin?" }]), "no answer");
  },
  tools: async () => {
    const answered = await ask([question], { tools: [tool] }).catch((error) => {
      expect(error.status === 422 && error.message.includes("`tools` is not supported"), `refused with: ${error}`);
    });
    expect(answered === undefined, `answered: ${answered}`);
  },
  models: async () => {
    const listed = [];
    for await (const each of client.models.list()) listed.push(each.id);
    expect(listed.includes(model), `the strategy is not listed: ${listed}`);
  },
  embeddings: async () => {
    const reply = await client.embeddings.create({ model: "encoder", input: [question.content, "Entä Ruotsin?"] });
    expect(reply.data.length === 2 && reply.data[0].embedding.length > 1, "no vectors");
  },
};

const results = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    results[name] = null;
  } catch (error) {
    results[name] = String(error);
  }
}
console.log(JSON.stringify(results));
