// How a client gets into a new session without its player's credentials: by the token of the login before.
import { RequestError } from "./errors.js";
import type { Credentials, LoginAnswer } from "./options.js";
import { stale } from "./state.js";

export class Relogin {
  #player: { uid: string; token: string } | null = null; // who has logged in last, and what lets it in again
  #answer: LoginAnswer | null = null; // to the token, in this session

  /** There is a token. */
  get possible(): boolean {
    return this.#player !== null;
  }

  /** The token has let the player in, in this session. */
  get done(): boolean {
    return this.#answer !== null;
  }

  /** A new session begins. */
  begin(): void {
    this.#answer = null;
  }

  /** Notes what a login was answered by. One by token is answered by no new token. */
  admitted(answer: unknown): void {
    const { uid, token } = (typeof answer === "object" && answer !== null ? answer : {}) as Partial<LoginAnswer>;
    if (typeof uid !== "string") return;
    if (typeof token === "string" && token) this.#player = { uid, token };
    else if (this.#player?.uid !== uid) this.#player = null;
  }

  /** Logs in by token if there is one and it is good, else by credentials. */
  async login(credentials: Credentials, ask: (body: unknown) => Promise<LoginAnswer>): Promise<LoginAnswer> {
    if (this.#answer) return this.#answer;
    const player = this.#player;
    if (player) {
      try {
        return (this.#answer = await ask({ token: player.token }));
      } catch (error) {
        if (!(error instanceof RequestError && stale(error.code))) throw error;
        if (this.#player === player) this.#player = null;
      }
    }
    return ask(typeof credentials === "function" ? await credentials() : credentials);
  }
}

class Nobody extends Error {}

/** What a client without an `enter` does in a session behind a lost one. When the token is not good any more it is the application that logs in, as it has before. */
export async function reenter(session: { login(credentials: Credentials): Promise<LoginAnswer> }): Promise<void> {
  try {
    await session.login(() => {
      throw new Nobody();
    });
  } catch (error) {
    if (!(error instanceof Nobody)) throw error;
  }
}
