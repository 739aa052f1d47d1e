// The key of the service. It is asked for when the service refuses a call, and kept until the tab is closed.

import { byId } from "./dom.js";

const KEPT = "qttrag.key";
let asking = null;

export const currentKey = () => sessionStorage.getItem(KEPT) ?? "";

/** Ask for a key in place of the one that was refused. Resolves to whether there is another one now. */
export function otherKey(refused) {
  if (currentKey() !== refused) return Promise.resolve(true);  // another call has asked for it
  asking ??= ask(refused !== "").finally(() => { asking = null; });
  return asking;
}

function ask(wasRefused) {
  const dialog = byId("key-dialog"), field = byId("key");
  field.value = "";
  byId("key-problem").hidden = !wasRefused;
  dialog.showModal();
  return new Promise((resolve) => {
    let isGiven = false;
    const finish = new AbortController(), { signal } = finish;
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, field.value);
      isGiven = true;
      dialog.close();
    }, { signal });
    dialog.addEventListener("close", () => { finish.abort(); resolve(isGiven); }, { signal });
  });
}
