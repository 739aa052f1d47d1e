// Conversations kept in this browser, newest first: [{id, time, turns: [{question, settings, answers}]}].

const KEPT = "qttrag.conversations", MOST = 50, MOST_CHARS = 2_000_000;

export function conversations() {
  try { return JSON.parse(localStorage.getItem(KEPT)) ?? []; } catch { return []; }
}

export const conversation = (id) => conversations().find((each) => each.id === id) ?? null;

/** Keep a conversation, and drop the oldest ones that exceed the limits or the browser's room. */
export function keep(changed) {
  const list = [changed, ...conversations().filter((each) => each.id !== changed.id)].slice(0, MOST);
  for (; list.length; list.pop()) {
    const text = JSON.stringify(list);
    if (text.length > MOST_CHARS && list.length > 1) continue;
    try {
      localStorage.setItem(KEPT, text);
      return;
    } catch { /* no room: without the oldest */ }
  }
}

export function forgetAll() { localStorage.removeItem(KEPT); }

export function newConversation() {
  return { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), time: Date.now(), turns: [] };
}
