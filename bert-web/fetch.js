// Fetches the files of a checkpoint folder, piece by piece.

import { Folder, ModelFile } from "./pkg/bert_web.js";

/**
 * Brings the files of the folder at `address` into `folder`. `progress(words, share)` is told how far each one
 * has come; `signal` cancels. Which files there may be is the program's to say; what it cannot run is refused
 * before its weights are fetched.
 */
export async function fetchFolder(folder, address, { progress, signal }) {
  const slashed = address.endsWith("/") ? address : `${address}/`;
  if (!URL.canParse(slashed, document.baseURI)) throw new Error(`${address} is not the address of a folder`);
  const base = new URL(slashed, document.baseURI);
  const bring = (name) => fetchFile(folder, new URL(name, base), name, progress, signal);
  const [config, ...others] = Folder.smallFiles();
  if (!(await bring(config))) throw new Error(`There is no ${config} at ${base}`);
  for (const name of others) await bring(name);
  folder.check();
  const weights = Folder.weightFiles();
  for (const name of weights) {
    if (!(await bring(name))) continue;
    for (const part of folder.parts(name)) {
      if (!(await bring(part))) throw new Error(`There is no ${part} at ${base}`);
    }
    return;
  }
  throw new Error(`There is no ${weights.join(" or ")} at ${base}`);
}

/** Whether the file was there. */
async function fetchFile(folder, url, name, progress, signal) {
  progress(name);
  const response = await fetch(url, { signal }).catch((error) => {
    throw new Error(`Cannot fetch ${url}: ${error.message}`, { cause: error });
  });
  // Some servers answer an address that they do not know with a page.
  const page = response.headers.get("content-type")?.startsWith("text/html");
  if (response.status === 404 || response.status === 410 || (response.ok && page)) {
    await response.body?.cancel();
    return false;
  }
  if (!response.ok) {
    throw new Error(`Cannot fetch ${url}: the server answers ${response.status} ${response.statusText}`);
  }

  // The length of what is sent, which is that of the file unless it is compressed on the way.
  const compressed = response.headers.has("content-encoding");
  const length = compressed ? 0 : Number(response.headers.get("content-length"));
  const file = new ModelFile(name, length);
  try {
    let received = 0;
    for await (const piece of pieces(response.body, url)) {
      file.append(piece);
      received += piece.length;
      if (received <= length) progress(`${name}: ${megabytes(received)} of ${megabytes(length)} MB`, received / length);
      else progress(`${name}: ${megabytes(received)} MB`);
    }
  } catch (error) {
    file.free();
    throw error;
  }
  folder.add(file); // which takes it
  return true;
}

/** The pieces of a stream: not every browser loops over streams themselves. */
async function* pieces(stream, url) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw new Error(`The connection was lost while fetching ${url}: ${error.message}`, { cause: error });
  } finally {
    reader.cancel().catch(() => {}); // where it was left before its end
  }
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
