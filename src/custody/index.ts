/** The custody room's door: make a key, find it, sign with it. */
export {
  createCustody,
  PROVIDER,
  type Custody,
  type KeyPurpose,
  type KeyRecord,
  type KeyType,
} from './custody.ts';
export { CustodyError } from './errors.ts';
