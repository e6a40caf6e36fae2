export { failure, ok, verdictOf, warning, type Check } from './check.ts';
export {
  checkCluster,
  checkDeadLetters,
  checkGatewayClock,
  silentText,
  type Circumstances,
} from './cluster.ts';
export { sampleOf, type LaneRow, type Sample, type Seen, type ShardRow } from './sample.ts';
export { isPressed, pressureText, stateOf, type Pressure } from './pressure.ts';
export { bytesText, counted, duration, numberRanges, refusedText } from './text.ts';
export { quantileMs, together, type Latencies } from './latency.ts';
