import { setTimeout as delay } from "node:timers/promises";
import type { MapCell } from "../cluster/map/cluster-map.ts";
import { type MapAnswer, mapAnswerSchema, mapChangedText } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient } from "./api-client.ts";
import { Failure } from "./errors.ts";

/** The coordinator writes a version with each step of a move. One of these falls between two of them. */
const triesMax = 40;
const pauseMs = 100;

/** The newest map that a cell knows. */
export async function mapOf(api: ApiClient): Promise<MapAnswer> {
  return mapIn(await api.get("/api/map"));
}

/** Has the coordinator write other cells, made from the newest map. Throws a {@link Failure} when it refuses them. */
export async function changeCells(api: ApiClient, cellsOf: (map: MapAnswer) => readonly MapCell[]): Promise<MapAnswer> {
  for (let tries = 1; ; tries += 1) {
    const map = await mapOf(api);
    const { version, writer } = map;
    try {
      return mapIn(await api.put("/api/map", { version, writer, cells: cellsOf(map) }));
    } catch (error) {
      if (!(error instanceof Failure && error.message.startsWith(mapChangedText)) || tries === triesMax) throw error;
      await delay(pauseMs);
    }
  }
}

function mapIn(answer: unknown): MapAnswer {
  const { value, fault } = read(mapAnswerSchema, answer);
  if (fault !== undefined) throw new Failure("the cell's answer is no map: is it of another version?");
  return value;
}
