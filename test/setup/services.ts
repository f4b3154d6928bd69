/** Brings the services that the tests run against. */
export default function setup(): void {}
