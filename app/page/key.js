// The API key, where the server asks for one. It stays in this tab, and is shown to the two servers alone.

const NAME = "tiding.key";
const by = (id) => document.getElementById(id);

/** What was given; empty where nothing was asked for. */
export const apiKey = () => sessionStorage.getItem(NAME) ?? "";

/** `fetch`, with the key. */
export function ask(path, options = {}) {
  const headers = {...options.headers, ...(apiKey() && {Authorization: `Bearer ${apiKey()}`})};
  return fetch(path, {...options, headers});
}

/** Return when the server takes the key that there is, or wants none. */
export async function untilLetIn() {
  while ((await ask("/v1/models")).status === 401) {
    by("key-said").textContent = apiKey() ? "The server does not know this key." : "This server asks for an API key.";
    by("key-form").hidden = false;
    sessionStorage.setItem(NAME, await entered());
  }
  by("key-form").hidden = true;
}

function entered() {
  by("key").focus();
  return new Promise((resolve) => {
    const take = (event) => {
      event.preventDefault();
      resolve(by("key").value.trim());
    };
    by("key-form").addEventListener("submit", take, {once: true});
  });
}
