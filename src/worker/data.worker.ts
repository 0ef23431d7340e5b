import { expose } from 'comlink';
import { DataHost } from './data-host.ts';

expose(new DataHost());
