/** The door of tokens (PKCS #11): a connection, keys that stay there, a wrapping key that stays there. */
export { connectToken, type TokenConnection, type TokenSettings } from './connection.ts';
export { keysInToken } from './keys.ts';
export { makeTokenWrappingKey, tokenWrappingKey } from './wrapping-key.ts';
