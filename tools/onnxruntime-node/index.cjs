// A package of CommonJS: what asks for it there is transformers.js's own require.
// eslint-disable-next-line @typescript-eslint/no-require-imports
module.exports = require('onnxruntime-web');
