/** An error whose message is meant for the person at the page: what is wrong and what to do about it. */
export class UserError extends Error {
  override name = 'UserError';
}
