/** Money: what may be spent, what was, and what nobody knows yet. Here lives no price and no HTTP. */

import { NotConfigured, OverBudget } from "./errors.js";

/** Digits after the point that are counted, by whole numbers: sums of USD are exact where those of doubles are not. */
const DIGITS = 12;

/** The money of one request, from before it is sent until its cost is known. */
export interface Hold {
  readonly largestUsd: number;
}

/**
 * The sum of what requests cost, kept below a limit.
 *
 * What is under way or of unknown outcome counts with the most that it may cost.
 */
export class Budget {
  readonly limitUsd: number | undefined;
  #spent = 0n;
  readonly #held = new Set<Hold>();

  /** Throws NotConfigured for a limit that is no amount. */
  constructor(limitUsd?: number) {
    this.limitUsd = limitUsd === undefined ? undefined : amount(limitUsd);
  }

  /** The sum of every cost that is known. */
  get spentUsd(): number {
    return usd(this.#spent);
  }

  /** The most that what is under way, or of unknown outcome, may cost. */
  get heldUsd(): number {
    return usd(this.#heldUnits());
  }

  /** Set the largest cost of a request aside. Throws OverBudget where that is too much, or is not published. */
  hold(largestUsd: number | undefined): Hold {
    if (this.limitUsd !== undefined) this.#check(this.limitUsd, largestUsd);
    return this.resume(largestUsd);
  }

  /** The money of what was sent before, maybe by another process: it counts, and is never too much. */
  resume(largestUsd: number | undefined): Hold {
    const hold = { largestUsd: largestUsd ?? 0 };
    this.#held.add(hold);
    return hold;
  }

  /** What it cost in the end; 0 for what was refused or refunded. Once only: what comes later changes nothing. */
  settle(hold: Hold, costUsd: number): void {
    if (this.#held.delete(hold)) this.#spent += units(costUsd);
  }

  #heldUnits(): bigint {
    let sum = 0n;
    for (const hold of this.#held) sum += units(hold.largestUsd);
    return sum;
  }

  #check(limitUsd: number, largestUsd: number | undefined): void {
    if (largestUsd === undefined) {
      throw new OverBudget("what this request costs is not published, so that no budget can be kept with it");
    }
    if (this.#spent + this.#heldUnits() + units(largestUsd) > units(limitUsd)) {
      throw new OverBudget(
        `this request may cost ${largestUsd} USD; of the budget of ${limitUsd} USD, ${this.spentUsd} are spent, and ` +
          `${this.heldUsd} set aside for what is under way or of unknown outcome`,
      );
    }
  }
}

/** An amount of USD. Throws NotConfigured for what is none. */
export function amount(value: unknown): number {
  if (typeof value === "number" && value >= 0 && value < 1e9) return value;
  throw new NotConfigured("an amount of USD is a number from 0 up, below a thousand million");
}

function units(value: number): bigint {
  return BigInt(value.toFixed(DIGITS).replace(".", ""));
}

function usd(value: bigint): number {
  return Number(value) / 10 ** DIGITS;
}
