// Read a streamed response in the browser: line by line, or event by event.

const LINE_END = /\r\n|\n|\r(?!$)/; // a CR at the end waits: its LF may be in the next chunk
const FIELD = /^([^:]*):? ?(.*)$/s;

/**
 * Yield each line of a response, without its line end (LF, CR LF or CR).
 * Leave the loop with `break` or `return` to disconnect.
 *
 * @param {Response} response What `fetch` returned.
 * @throws {Error} For a status that is not 2xx. Its `cause` is the response.
 * @throws {TypeError} For a body that was cut, if HTTP shows the cut.
 */
export async function* readLines(response) {
  if (!response.ok) {
    throw new Error(`${response.status} ${response.statusText}`, { cause: response });
  }
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
      const lines = (rest + part.value).split(LINE_END);
      rest = lines.pop();
      yield* lines;
    }
    if (rest) yield rest.replace(/\r$/, "");
  } finally {
    await reader?.cancel();
  }
}

/**
 * Yield each event of a `text/event-stream` as `{ event, data, id }`, as an EventSource reads it.
 *
 * @param {Response} response What `fetch` returned, also for a POST.
 * @throws {Error} As `readLines` does, and for another content type.
 */
export async function* readEvents(response) {
  const type = response.headers.get("Content-Type") ?? "no Content-Type";
  if (response.ok && !type.startsWith("text/event-stream")) {
    throw new Error(`${type} is not text/event-stream`, { cause: response });
  }
  let [event, data, id] = ["", [], ""];
  for await (const line of readLines(response)) {
    const [, name, value] = FIELD.exec(line);
    if (name === "event") event = value;
    if (name === "data") data.push(value);
    if (name === "id" && !value.includes("\0")) id = value;
    if (line === "") {
      if (data.length) yield { event: event || "message", data: data.join("\n"), id };
      [event, data] = ["", []];
    }
  }
}
