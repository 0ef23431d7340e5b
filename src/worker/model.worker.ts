import { expose } from 'comlink';
import { ModelHost } from './model-host.ts';

expose(new ModelHost());
