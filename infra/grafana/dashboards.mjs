// Writes the dashboards that Grafana is provisioned with: node infra/grafana/dashboards.mjs
// A test holds that what is checked in is what this writes, and that each query has data.

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const SOURCE = { type: 'prometheus', uid: 'prometheus' };
const WIDTH = 24;
const HEIGHT = 8;

/** A panel of lines; `queries` are [expression, legend]. */
function lines(title, unit, queries, more = {}) {
  const { description, stacked = false, max } = more;
  return {
    type: 'timeseries',
    title,
    ...(description && { description }),
    datasource: SOURCE,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        custom: {
          lineWidth: 1,
          fillOpacity: stacked ? 30 : 5,
          showPoints: 'never',
          stacking: { mode: stacked ? 'normal' : 'none' },
        },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom' },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: targetsOf(queries),
  };
}

/** A panel of one number for each query. */
function numbers(title, unit, queries, thresholds = []) {
  return {
    type: 'stat',
    title,
    datasource: SOURCE,
    fieldConfig: {
      defaults: {
        unit,
        thresholds: {
          mode: 'absolute',
          steps: [
            { color: 'green', value: null },
            ...thresholds.map(([color, value]) => ({ color, value })),
          ],
        },
      },
      overrides: [],
    },
    options: { reduceOptions: { calcs: ['lastNotNull'] }, graphMode: 'area' },
    targets: targetsOf(queries),
  };
}

function targetsOf(queries) {
  return queries.map(([expr, legendFormat], i) => ({
    refId: String.fromCharCode(65 + i),
    datasource: SOURCE,
    expr,
    legendFormat,
  }));
}

const quantile = (share, metric, by = '') =>
  `histogram_quantile(${share}, sum by (le${by && `, ${by}`}) (rate(${metric}_bucket[1m])))`;

const ROWS = [
  {
    title: 'Service',
    panels: [
      numbers('Applied a second', 'short', [
        ['sum(rate(engram_applied_observations_total[1m]))', 'observations/s'],
      ]),
      numbers(
        'Searchable after, p99',
        's',
        [[quantile(0.99, 'engram_freshness_seconds'), 'p99']],
        [
          ['yellow', 0.05],
          ['red', 0.1],
        ],
      ),
      numbers('Observations', 'short', [['sum(engram_observations)', 'observations']]),
      numbers(
        'Partitions without a shard',
        'short',
        [['count(max by (partition) (engram_partition_shards) == 0) or vector(0)', 'partitions']],
        [['red', 1]],
      ),
      lines('Observations by result', 'short', [
        ['sum by (result, reason) (rate(engram_ingest_items_total[1m]))', '{{result}} {{reason}}'],
      ]),
      lines(
        'Applied a second by lane',
        'short',
        [['sum by (lane) (rate(engram_applied_observations_total[1m]))', '{{lane}}']],
        { stacked: true },
      ),
      lines('Until it is searchable', 's', [
        [quantile(0.5, 'engram_freshness_seconds'), 'p50'],
        [quantile(0.99, 'engram_freshness_seconds'), 'p99'],
      ]),
      lines('Until it is acknowledged', 's', [
        [quantile(0.5, 'engram_ingest_ack_duration_seconds', 'level'), 'p50 {{level}}'],
        [quantile(0.99, 'engram_ingest_ack_duration_seconds', 'level'), 'p99 {{level}}'],
      ]),
      lines('Recalls a second', 'short', [
        ['sum by (result) (rate(engram_recalls_total[1m]))', '{{result}}'],
      ]),
      lines('Recalls take', 's', [
        [
          'histogram_quantile(0.5, sum by (le) (rate(engram_http_request_duration_seconds_bucket{route=~".*/recall"}[1m])))',
          'p50 gateway',
        ],
        [
          'histogram_quantile(0.99, sum by (le) (rate(engram_http_request_duration_seconds_bucket{route=~".*/recall"}[1m])))',
          'p99 gateway',
        ],
        [
          'histogram_quantile(0.99, sum by (le) (rate(engram_shard_request_duration_seconds_bucket{method="recall"}[1m])))',
          'p99 shard',
        ],
      ]),
      lines('Busiest spaces', 'short', [
        ['topk(10, sum by (space) (rate(engram_space_items_total[1m])))', 'written: {{space}}'],
        ['topk(10, sum by (space) (rate(engram_space_recalls_total[1m])))', 'recalled: {{space}}'],
      ]),
      lines('Sessions', 'short', [['sum by (state) (engram_sessions)', '{{state}}']]),
    ],
  },
  {
    title: 'Flow',
    panels: [
      lines('Entries that wait in the log', 'short', [
        ['sum by (lane) (engram_log_lag_messages)', '{{lane}}'],
      ]),
      lines('Lag', 's', [['max by (lane) (engram_lag_seconds)', '{{lane}}']]),
      lines('Observations that wait for a worker', 'short', [
        ['sum by (member, lane) (engram_lane_depth_observations)', '{{member}} {{lane}}'],
      ]),
      lines(
        'Pressure: 0 normal, 1 warning, 2 critical, 3 overloaded',
        'short',
        [['max by (member, lane) (engram_pressure_level)', '{{member}} {{lane}}']],
        { max: 3 },
      ),
      lines('Writes that were asked to come later', 'short', [
        [
          'sum by (scope, cause, lane) (rate(engram_admission_refusals_total[1m])) or vector(0)',
          '{{scope}} {{cause}} {{lane}}',
        ],
      ]),
      lines('Dead letters', 'short', [
        ['sum by (reason) (increase(engram_dead_letters_total[5m])) or vector(0)', '{{reason}}'],
      ]),
      lines('The log', 'bytes', [['max by (kind) (engram_log_bytes)', '{{kind}}']]),
      lines('Frames that wait for the log', 'short', [
        ['sum by (member) (engram_publishes_in_flight)', '{{member}}'],
      ]),
    ],
  },
  {
    title: 'Shards',
    panels: [
      lines(
        'Workers are busy',
        'percentunit',
        [
          [
            'sum by (member, worker) (rate(engram_worker_busy_seconds_total[1m]))',
            '{{member}} {{worker}}',
          ],
        ],
        { max: 1 },
      ),
      lines('Private memory', 'bytes', [
        ['engram_memory_private_bytes', '{{member}}'],
        ['min by (kind) (engram_memory_limit_bytes)', '{{kind}} limit'],
      ]),
      lines(
        'Private memory by what has it',
        'bytes',
        [['sum by (component) (engram_memory_component_bytes)', '{{component}}']],
        { stacked: true },
      ),
      lines('Resident memory', 'bytes', [
        ['engram_process_resident_memory_bytes', '{{job}} {{member}}'],
      ]),
      lines('Observations', 'short', [['engram_observations', '{{member}}']]),
      lines('Waiting for a graph', 'short', [['engram_graph_backlog_rows', '{{member}}']]),
      lines('Segments', 'short', [['engram_segments', '{{member}}']]),
      lines('Event loop is late, p99', 's', [
        ['engram_nodejs_eventloop_lag_p99_seconds', '{{job}} {{member}}'],
      ]),
      lines('Processor', 'short', [
        ['rate(engram_process_cpu_seconds_total[1m])', '{{job}} {{member}}'],
      ]),
      lines('Oldest checkpoint', 's', [['engram_checkpoint_age_seconds', '{{member}}']]),
    ],
  },
  {
    title: 'Ring and quality',
    panels: [
      lines('Epoch', 'short', [['engram_ring_epoch', '{{member}}']]),
      lines('Partitions that move', 'short', [['max(engram_ring_moves)', 'moves']]),
      lines('Partitions by shard', 'short', [
        ['sum by (member, state) (engram_partitions)', '{{member}} {{state}}'],
      ]),
      lines('Shards that answer for a partition', 'short', [
        ['min(max by (partition) (engram_partition_shards))', 'fewest'],
        ['max(max by (partition) (engram_partition_shards))', 'most'],
      ]),
      lines(
        'Recall against an exact search',
        'percentunit',
        [
          [
            'sum(increase(engram_recall_sample_found_total[10m])) / sum(increase(engram_recall_sample_wanted_total[10m]))',
            'of what is nearest was found',
          ],
        ],
        { max: 1 },
      ),
      lines('NATS and Redis are connected', 'short', [
        ['min by (server) (engram_server_connected)', '{{server}}'],
      ]),
    ],
  },
];

function dashboard() {
  const panels = [];
  let y = 0;
  let id = 1;
  for (const row of ROWS) {
    panels.push({
      id: id++,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of row.panels) {
      const [w, h] = panel.type === 'stat' ? [6, 4] : [12, HEIGHT];
      if (x + w > WIDTH) {
        x = 0;
        y += height;
        height = 0;
      }
      panels.push({ id: id++, gridPos: { x, y, w, h }, ...panel });
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return {
    uid: 'engram-cluster',
    title: 'Engram Cluster',
    tags: ['engram'],
    schemaVersion: 39,
    editable: false,
    refresh: '5s',
    time: { from: 'now-15m', to: 'now' },
    timezone: 'browser',
    annotations: {
      list: [
        {
          name: 'The ring changed',
          datasource: SOURCE,
          enable: true,
          iconColor: 'purple',
          expr: 'changes(max(engram_ring_epoch)[1m:5s]) > 0',
          titleFormat: 'The ring changed',
        },
      ],
    },
    templating: { list: [] },
    panels,
  };
}

/** File name → its text. */
export function dashboards() {
  return { 'cluster.json': `${JSON.stringify(dashboard(), undefined, 2)}\n` };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = fileURLToPath(new URL('./dashboards/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(dashboards())) writeFileSync(`${folder}${name}`, text);
}
