import type { Dashboard } from './frame.js';
import { graph } from './panels.js';
import { chosen, query, rate, sum } from './queries.js';

/** A quantile of a histogram of the Go runtime, which has classic buckets alone; 0 where nothing happened. */
const classic = (q: number, histogram: string) =>
  `histogram_quantile(${q}, ${sum('instance, le', rate(chosen(`${histogram}_bucket`)))}) >= 0` +
  ` or on (instance) 0 * ${sum('instance', chosen('go_goroutines'))}`;

const cpu = {
  title: 'CPU and scheduling',
  panels: [
    graph(
      {
        title: 'CPU',
        help: 'Cores that each instance keeps busy, and how many it may (GOMAXPROCS). Normal: below 80 % of them. Above: add instances, or find what uses it with a CPU profile: /debug/pprof/profile?seconds=10 of the admin pages.',
        unit: 'suffix: cores',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(chosen('process_cpu_seconds_total')))),
      query('GOMAXPROCS {{instance}}', sum('instance', chosen('go_sched_gomaxprocs_threads'))),
    ),
    graph(
      {
        title: 'Wait for a CPU, slowest 1 %',
        help: 'How long goroutines that could run waited for a CPU; 99 % less than this. Normal: below a millisecond. If not: the CPU is used up, or a CPU limit throttles the container; every latency has this in it.',
        unit: 's',
        width: 8,
      },
      query('{{instance}}', classic(0.99, 'go_sched_latencies_seconds')),
    ),
    graph(
      {
        title: 'Goroutines',
        help: 'Goroutines of each instance. Normal: one for each connection, one for each request with a handler, and about 25. If it rises and connections do not: handlers hang, see /debug/pprof/goroutine?debug=1.',
        unit: 'short',
        width: 8,
      },
      query('{{instance}}', sum('instance', chosen('go_goroutines'))),
    ),
  ],
};

const memory = {
  title: 'Memory',
  panels: [
    graph(
      {
        title: 'Heap',
        help: 'Live heap after the last collection, and the size at which the next one begins. Normal: a level that follows connections and requests in flight. If live only rises: take a heap profile, /debug/pprof/heap.',
        unit: 'bytes',
        width: 8,
      },
      query('live {{instance}}', sum('instance', chosen('go_gc_heap_live_bytes'))),
      query('goal {{instance}}', sum('instance', chosen('go_gc_heap_goal_bytes'))),
    ),
    graph(
      {
        title: 'Memory by class',
        help: 'What the runtime has from the system, all instances together. Normal: heap in use is most of it. idle is free for reuse; the part of it that is released is the system\'s again. High stacks: many goroutines, or deep ones.',
        unit: 'bytes',
        width: 8,
      },
      query('heap in use', sum('', chosen('go_memstats_heap_inuse_bytes'))),
      query('heap idle', sum('', chosen('go_memstats_heap_idle_bytes'))),
      query('heap released', sum('', chosen('go_memstats_heap_released_bytes'))),
      query('stacks', sum('', chosen('go_memstats_stack_inuse_bytes'))),
      query('garbage collector', sum('', chosen('go_memstats_gc_sys_bytes'))),
      query('other', sum('', chosen('go_memstats_other_sys_bytes'))),
    ),
    graph(
      {
        title: 'Memory',
        help: 'Memory as the system counts it, which is what a container\'s limit is about. Normal: a little above heap and stacks. Near the limit: the container is killed when it passes; lower the limits on connections and payloads, or raise the memory.',
        unit: 'bytes',
        width: 8,
      },
      query('{{instance}}', sum('instance', chosen('process_resident_memory_bytes'))),
    ),
    graph(
      {
        title: 'Allocations',
        help: 'Bytes per second that are allocated on the heap. Normal: follows the requests. More at the same load: new code allocates, see /debug/pprof/allocs.',
        unit: 'Bps',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(chosen('go_gc_heap_allocs_bytes_total')))),
    ),
    graph(
      {
        title: 'Garbage collections',
        help: 'Collections per second. Normal: below 5. More: a small heap with many allocations; with a memory limit (GOMEMLIMIT) that is nearly reached the collector runs all the time and takes the CPU.',
        unit: 'ops',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(chosen('go_gc_cycles_total_gc_cycles_total')))),
    ),
    graph(
      {
        title: 'Pauses for the collector, longest',
        help: 'The longest time that the whole process stood still for a garbage collection; 0 where there was none. Normal: below a millisecond. If not: the CPU is used up or throttled.',
        unit: 's',
        width: 8,
      },
      query('{{instance}}', classic(1, 'go_sched_pauses_total_gc_seconds')),
    ),
  ],
};

const sight = {
  title: 'Files, logs, traces, scrapes',
  panels: [
    graph(
      {
        title: 'File descriptors',
        help: 'Open file descriptors, and the lowest limit of an instance. Normal: one for each connection and about 20. Near the limit: connections can no longer be accepted; raise LimitNOFILE (systemd) or ulimits (containers).',
        unit: 'short',
        width: 8,
      },
      query('{{instance}}', sum('instance', chosen('process_open_fds'))),
      query('limit', `min(${chosen('process_max_fds')})`),
    ),
    graph(
      {
        title: 'Log lines dropped',
        help: 'Lines per second that were not written: since there were too many alike, by level, or lost, since the output took no more. Normal: 0, or info and debug under load. warn or error: something happens very often, look at Logs for what. lost: what reads the log is stuck or gone, or its disk is full.',
        unit: 'ops',
        width: 8,
      },
      query('{{level}}', sum('level', rate(chosen('pktsvc_log_lines_dropped_total')))),
      query('lost', `sum(${rate(chosen('pktsvc_log_lines_lost_total'))})`),
    ),
    graph(
      {
        title: 'Spans',
        help: 'Sampled spans per second: those that left (exported), and those that were lost. Normal: exported alone; all at 0 with tracing off. export_failed: the trace backend cannot be reached. queue_full: it is too slow, or too much is sampled.',
        unit: 'ops',
        width: 8,
      },
      query('{{result}}', sum('result', rate(chosen('pktsvc_trace_spans_total')))),
    ),
    graph(
      {
        title: 'Notable requests',
        help: 'Requests per second that the flight recorder has found notable: failed, slow, given up, or matched by a rule. kept: they are in Requests now, with a span each where traces are exported. suppressed: more than 1,000 a second for one reason. Normal: few. Many: see Rejections by reason and Duration; with rules in force (pktsvc trace list) as many as these match.',
        unit: 'ops',
        width: 6,
      },
      query('{{result}}', sum('result', rate(chosen('pktsvc_recorder_notable_total')))),
    ),
    graph(
      {
        title: 'Starts',
        help: 'How often the process has started anew in the last 15 minutes. Normal: 0; 1 for a deploy, 2 for one that was taken back. More: it crashes or is killed; look at the last lines of its log, and at Memory before the start.',
        unit: 'short',
        width: 6,
      },
      query('{{instance}}', sum('instance', `changes(${chosen('process_start_time_seconds')}[15m])`)),
    ),
    graph(
      {
        title: 'Duration of scrapes',
        help: 'How long Prometheus took to read /metrics. Normal: below 100 ms. If not: the instance has no CPU, and alerts come late.',
        unit: 's',
        width: 6,
      },
      query('{{instance}}', sum('instance', chosen('scrape_duration_seconds'))),
    ),
    graph(
      {
        title: 'Size of scrapes',
        help: 'Samples in each scrape. Normal: below 1,000, and always the same: no peer can make series. If it rises: more types of requests are registered.',
        unit: 'short',
        width: 6,
      },
      query('{{instance}}', sum('instance', chosen('scrape_samples_scraped'))),
    ),
  ],
};

export const runtime: Dashboard = {
  name: 'runtime',
  help: 'The process itself: CPU, memory, garbage collector, file descriptors, and whether logs, traces and metrics get out.',
  jobs: 'pktsvc_build_info',
  job: 'pktsvc',
  rows: [cpu, memory, sight],
};
