import { parseRoute, type Route } from './routes.ts';

export { projectHref, STEPS, type Route, type Step } from './routes.ts';

/** Where in the page the person is; the address bar is the truth. */
class Router {
  #route = $state.raw<Route>({ page: 'home' });
  #moved = false;

  constructor() {
    if (typeof window === 'undefined') return;
    this.#route = parseRoute(location.hash);
    window.addEventListener('hashchange', () => {
      this.#moved = true;
      this.#route = parseRoute(location.hash);
    });
  }

  /** The person has gone somewhere: focus follows them, as it would to a page of its own. */
  get moved(): boolean {
    return this.#moved;
  }

  get route(): Route {
    return this.#route;
  }

  go(href: string): void {
    location.hash = href;
  }
}

export const router = new Router();
