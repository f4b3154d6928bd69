/** Prometheus metrics of one process. Labels come from closed sets: never an id, a path with an id, or anything personal. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  /** Requests answered, by area of the product and class of status. */
  readonly requests: Counter<'area' | 'method' | 'status'>;
  /** Seconds from first byte in to last byte out. */
  readonly requestSeconds: Histogram<'area'>;
  /** Password sign-ins, by outcome. */
  readonly signIns: Counter<'outcome'>;
  /** Tries that were refused because a budget was used up, by what was tried and whose budget it was. */
  readonly limited: Counter<'act' | 'scope'>;
  /** Reports of misuse, by what they are about. */
  readonly misuseReports: Counter<'kind'>;
  /** Sealings, by outcome. */
  readonly sealings: Counter<'outcome'>;
  /** Encrypted records, by where they lie and whether they lie under the current data key or another. */
  readonly dataKeyRecords: Gauge<'holding' | 'key'>;
  /** Shows at every reading how many password hashes are made and how many people wait for one. */
  watchPasswords(depth: () => { readonly inFlight: number; readonly waiting: number }): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    watchPasswords(depth) {
      const gauge = new Gauge({
        name: 'yinxin_password_hashes',
        help: 'Password hashes that are made, and people who wait for one',
        labelNames: ['state'],
        registers,
        collect() {
          const { inFlight, waiting } = depth();
          gauge.set({ state: 'in-flight' }, inFlight);
          gauge.set({ state: 'waiting' }, waiting);
        },
      });
    },
    requests: new Counter({
      name: 'yinxin_http_requests_total',
      help: 'Requests answered',
      labelNames: ['area', 'method', 'status'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'yinxin_http_request_seconds',
      help: 'Seconds from the first byte in to the last byte out',
      labelNames: ['area'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    }),
    signIns: new Counter({
      name: 'yinxin_sign_ins_total',
      help: 'Password sign-ins',
      labelNames: ['outcome'],
      registers,
    }),
    limited: new Counter({
      name: 'yinxin_limited_total',
      help: 'Tries refused because a budget was used up',
      labelNames: ['act', 'scope'],
      registers,
    }),
    misuseReports: new Counter({
      name: 'yinxin_misuse_reports_total',
      help: 'Reports of misuse made by people',
      labelNames: ['kind'],
      registers,
    }),
    sealings: new Counter({
      name: 'yinxin_sealings_total',
      help: 'Sealings',
      labelNames: ['outcome'],
      registers,
    }),
    dataKeyRecords: new Gauge({
      name: 'yinxin_data_key_records',
      help: 'Encrypted records under the current data key and under others, as of the last pass',
      labelNames: ['holding', 'key'],
      registers,
    }),
  };
}
