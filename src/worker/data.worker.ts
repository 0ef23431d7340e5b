import { DataHost } from './data-host.ts';
import { serve } from './serve.ts';

serve(new DataHost());
