import { LineDrain, type SendOrder } from "../../actors/core-group/line-drain.ts";
import { type Environment, lineObject } from "../environment.ts";
import type { objectTimers } from "../object-timers.ts";

/** The {@link LineDrain} of a cell, with its lines. One that does not answer does not hold up the others. */
export function lineDrainOf(env: Environment, lineCount: number, { clock, timer }: ReturnType<typeof objectTimers>): LineDrain {
  const lineOf = (line: number): ReturnType<Environment["LINE"]["getByName"]> => lineObject(env, line);
  const failed = (line: number, error: unknown): undefined => {
    console.warn(`cell ${env.CELL}: line ${line} does not hear whether it is in service: ${String(error)}`);
    return undefined;
  };
  return new LineDrain(lineCount, {
    now: clock.now,
    timer,
    send: (line, order: SendOrder, answered) => {
      void lineOf(line)
        .sendElsewhere(order)
        .then(
          ({ left, lateMs }) => answered({ left, lateMs }),
          (error: unknown) => answered(failed(line, error)),
        );
    },
    take: (line) =>
      void lineOf(line)
        .takeSoftphones()
        .catch((error: unknown) => failed(line, error)),
  });
}
