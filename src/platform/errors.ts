/**
 * Errors that the product foresees. Each has a stable `code` (SCREAMING_SNAKE_CASE, a closed union per room), a public sentence in
 * `message`, and a private `cause` for the log. `platform/http` maps codes to HTTP once, at the edge; whatever is not
 * an `AppError` becomes a 500 with a fixed text. Programmer's mistakes are `TypeError` and stay 500.
 */
export class AppError<Code extends string = string> extends Error {
  readonly code: Code;
  /** After how many seconds the same can be tried again, where that is known. */
  readonly retryAfterSeconds: number | undefined;

  /**
   * @param code Stable, part of the API.
   * @param message Public sentence. It carries no secret and nothing personal.
   * @param options `cause`: what went wrong underneath, for the log alone.
   */
  constructor(
    code: Code,
    message: string,
    options?: ErrorOptions & { readonly retryAfterSeconds?: number | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterSeconds = options?.retryAfterSeconds;
    this.name = new.target.name;
  }
}
