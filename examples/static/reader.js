// Read a streamed response in the browser: line by line, or event by event.

const LINE_END = /\r\n|\n|\r/;
const FIELD = /^([^:]*):? ?(.*)$/s;

/**
 * Yield each line of what `fetch` returned. Leave the loop to disconnect.
 * A status that is not 2xx throws, with the response as `cause`. A cut throws as well.
 */
export async function* readLines(response) {
  if (!response.ok) {
    throw new Error(`${response.status} ${response.statusText}`, { cause: response });
  }
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let end = ""; // a CR at the end of a chunk waits, because its LF may be in the next chunk
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
      const text = end + part.value;
      end = text.endsWith("\r") ? "\r" : "";
      const lines = text.slice(0, text.length - end.length).split(LINE_END);
      lines[0] = rest + lines[0];
      rest = lines.pop();
      yield* lines;
    }
    if (rest || end) yield rest;
  } finally {
    await reader?.cancel();
  }
}

/** Yield each event as `{ event, data, id }`. Another content type throws. */
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
