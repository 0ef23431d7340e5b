const LOG2E = 1.4426950408889634;
const LN2 = 0.6931471805599453;
// Below every score; masked scores are lower still, so that their exponential is 0 whatever the maximum is.
const FLOOR = -1e20;
const MASKED = -1e30;
// Log-sum-exp of a row that sees nothing: exp(score − NOTHING) = 0.
const NOTHING = 1e30;
