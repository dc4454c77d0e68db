// The export of `instant.mjs`.
import type { Connect } from "./api";
import { Client } from "./client";

export const connect: Connect = (options = {}) => {
  const client = new Client(options, import.meta.url);
  if (!options.manual) {
    client.connect();
  }
  return client;
};
