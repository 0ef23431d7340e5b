import { ModelHost } from './model-host.ts';
import { serve } from './serve.ts';

serve(new ModelHost());
