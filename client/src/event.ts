import type { InstantEvent } from "./api";

/** The class of the event that tells of lost changes. */
export const RESYNC = "instant.resync";
/** The class of what names none. */
const DEFAULT = "default";

/**
 * The event of a publication. What is no event, as a script or another page may publish, becomes one with the whole of it as data.
 * The channel is where it came through, whatever it says itself.
 */
export function toEvent(channel: string, publication: unknown): InstantEvent {
  const fields = { site: "", bucket: "" };
  if (typeof publication !== "object" || publication === null || !("event_class" in publication)) {
    const message = typeof publication === "string" ? publication : "";
    return { ...fields, event_class: DEFAULT, message, data: publication, channel };
  }
  const given = publication as Partial<InstantEvent>;
  const { event_class, message, data } = given;
  return { ...fields, ...given, event_class: String(event_class), message: message ?? "", data: data ?? {}, channel };
}
