import { read } from "../schemas/reading.ts";
import { type Status, statusSchema } from "../schemas/api-answers.ts";

export function isStatus(value: unknown): value is Status {
  return read(statusSchema, value).fault === undefined;
}
