import type { InstantEvent } from "./api";

/** The class of the event that announces lost changes. */
export const RESYNC = "instant.resync";
/** The class of a publication that has none, or one that is not a string. */
const DEFAULT = "default";

/**
 * The event of a publication. A publication that is not an event, as a script or another page may send, becomes one with the whole of it
 * as data. The channel is the one that it arrived on, whatever the publication itself contains.
 */
export function toEvent(channel: string, publication: unknown): InstantEvent {
  const fields = { site: "", bucket: "" };
  if (!isEvent(publication)) {
    const message = typeof publication === "string" ? publication : "";
    return { ...fields, event_class: DEFAULT, message, data: publication, channel };
  }
  const { message, data } = publication;
  return { ...fields, ...publication, message: message ?? "", data: data ?? {}, channel };
}

function isEvent(publication: unknown): publication is Partial<InstantEvent> & Pick<InstantEvent, "event_class"> {
  if (typeof publication !== "object" || publication === null || !("event_class" in publication)) {
    return false;
  }
  return typeof publication.event_class === "string";
}
