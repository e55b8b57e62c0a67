import type { Dashboard } from './frame.js';
import { graph } from './panels.js';
import { chosen, moved, query, rate, sum } from './queries.js';

const churn = {
  title: 'Connections',
  panels: [
    graph(
      {
        title: 'Open by instance',
        help: 'Open connections, and the lowest limit of an instance. Normal: steady, and spread evenly over the instances. One instance has most: connections are long-lived and stay after a deploy, see limits.max_age. Near the limit: raise limits.connections or add instances.',
        unit: 'short',
        width: 8,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_connections_open'))),
      query('limit', `min(${chosen('pktsvc_server_connections_limit')})`),
    ),
    graph(
      {
        title: 'Opened and closed',
        help: 'Connections that were opened and that have ended, per second. Normal: few, as clients keep their connections; a peak after a deploy. Many all the time: a client that dials for each request, or that cannot keep a connection, see Connections now, state closed.',
        unit: 'ops',
        width: 8,
      },
      query('opened', sum('', rate(chosen('pktsvc_connections_opened_total')))),
      query('closed', sum('', rate(chosen('pktsvc_connections_closed_total')))),
    ),
    graph(
      {
        title: 'Closed by reason',
        help: 'Why connections ended, per second; only reasons that occurred in the range of time. Normal: shutdown, stream_end, and closed or linger in a drain. slow_consumer: the peer takes no bytes. slow_sender: it stops inside a packet. overload: the memory for peers is used up. malformed, truncated, oversize, not_packets: the peer does not speak the protocol. read_error, write_error: the network, or a peer that was killed.',
        unit: 'ops',
        width: 8,
      },
      query('{{reason}}', moved('reason', chosen('pktsvc_connections_closed_total'))),
    ),
    graph(
      {
        title: 'Refused by limit',
        help: 'Connections that were closed as soon as they were accepted, per second, by the limit. Normal: a line "none" at 0. connections: the instance is full. connections_per_peer: one address has too many, such as a balancer that hides its clients. setup: the socket could not be prepared, see Logs.',
        unit: 'ops',
        width: 8,
      },
      query('{{reason}}', moved('reason', chosen('pktsvc_server_connections_refused_total'))),
    ),
    graph(
      {
        title: 'Failures to accept',
        help: 'Connections that the system could not hand over, per second. Normal: 0. If not: nearly always too many open files, see File descriptors in Go runtime, and Logs.',
        unit: 'ops',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(chosen('pktsvc_server_accept_errors_total')))),
    ),
    graph(
      {
        title: 'Paused readers',
        help: 'Connections that are not read from since their accepted requests are at a limit. A guard, not an error: the peer is slowed down. Normal: 0, or short peaks. For long: handlers are too slow for what one peer asks; see Requests now, by conn.',
        unit: 'short',
        width: 8,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_readers_paused'))),
    ),
  ],
};

const traffic = {
  title: 'Traffic',
  panels: [
    graph(
      {
        title: 'Bytes by direction',
        help: 'Bytes of packets per second. Normal: follows the requests. More bytes and the same requests: larger payloads. Near what the network carries: add instances.',
        unit: 'Bps',
        width: 8,
      },
      query('{{direction}}', sum('direction', rate(chosen('pktsvc_packet_bytes_total')))),
    ),
    graph(
      {
        title: 'Packets by direction',
        help: 'Packets per second. Normal: received and sent are nearly the same, as each request has one answer. If received is above sent for long: answers are late, see Requests in flight.',
        unit: 'pps',
        width: 8,
      },
      query('{{direction}}', sum('direction', rate(chosen('pktsvc_packets_total')))),
    ),
    graph(
      {
        title: 'Stalls',
        help: 'Times per second that a stream took no more bytes for the moment. Normal: few, with large payloads. Many: peers or the network take answers more slowly than they are made; after limits.write_timeout without a byte the connection ends as slow_consumer.',
        unit: 'ops',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(chosen('pktsvc_send_stalls_total')))),
    ),
  ],
};

const held = {
  title: 'What is held',
  panels: [
    graph(
      {
        title: 'Memory for what peers send',
        help: 'Memory of all connections for requests in flight, parts of packets and answers that peers do not take, and the lowest limit of an instance (limits.memory). Normal: far below. At the limit requests are rejected as busy: see Connections now, sorted by serving, receiving or send_queued, for whose it is.',
        unit: 'bytes',
        width: 6,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_server_memory_used_bytes'))),
      query('limit', `min(${chosen('pktsvc_server_memory_limit_bytes')})`),
    ),
    graph(
      {
        title: 'Waiting to be sent',
        help: 'Bytes of packets that streams have not taken yet. Normal: near 0. If it stays high: slow peers; see Connections now for whose queue it is. Each connection is bounded by limits.send_buffer.',
        unit: 'bytes',
        width: 6,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_send_queue_bytes'))),
    ),
    graph(
      {
        title: 'Payloads of requests in flight',
        help: 'Payload bytes of accepted requests that are not answered yet. Normal: small, rises and falls with requests in flight. If it stays high: slow handlers of large requests. Each connection is bounded by limits.max_queued_bytes.',
        unit: 'bytes',
        width: 6,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_request_payload_bytes'))),
    ),
    graph(
      {
        title: 'Requests in flight',
        help: 'Requests of peers that are accepted and not answered (server), those of them that wait for a handler (queued), and requests of this program to its peers (client). Normal: follows the load, nothing is queued for long. If it only rises: handlers hang, see Requests now.',
        unit: 'short',
        width: 6,
      },
      query('{{role}}', sum('role', chosen('pktsvc_requests_in_flight'))),
      query('queued', sum('', chosen('pktsvc_requests_queued'))),
    ),
  ],
};

const lost = {
  title: 'What came to nothing',
  panels: [
    graph(
      {
        title: 'Requests unanswered or dropped',
        help: 'Requests per second that the end of their connection left unanswered, and that came after this side had ended. Normal: 0; a few when clients are killed. Many without a deploy: see Closed by reason for what ends the connections.',
        unit: 'reqps',
        width: 12,
      },
      query('unanswered', sum('', rate(chosen('pktsvc_requests_unanswered_total')))),
      query('dropped', sum('', rate(chosen('pktsvc_requests_dropped_total')))),
    ),
    graph(
      {
        title: 'Responses dropped',
        help: 'Answers of peers to requests of this program that nobody waited for any more (late), or that answer nothing (unknown), per second. Normal: 0. late: deadlines are too short, or the peer is too slow. unknown: a fault of the peer.',
        unit: 'ops',
        width: 12,
      },
      query('{{reason}}', sum('reason', rate(chosen('pktsvc_responses_dropped_total')))),
    ),
  ],
};

const secure = {
  title: 'TLS',
  panels: [
    graph(
      {
        title: 'Certificates expire in',
        help: 'Time until the certificate that an instance uses expires; nothing where none listens with TLS. Normal: rises at each renewal, and never below 14 days. It falls on: the renewal does not work, or the new files cannot be used, see Logs.',
        unit: 's',
        width: 12,
      },
      query('{{instance}}', sum('instance', `(${chosen('pktsvc_tls_certificate_not_after_timestamp_seconds')} - time())`)),
    ),
    graph(
      {
        title: 'TLS handshakes failed',
        help: 'TLS handshakes that failed, per second, by why. Normal: 0, or a port scan now and then. client_certificate: none, expired, or of an authority that tls.client_ca does not have. refused_by_client: it does not trust this certificate or its name. not_tls: plain callers. timeout: they say nothing.',
        unit: 'ops',
        width: 12,
      },
      query('{{reason}}', sum('reason', rate(chosen('pktsvc_tls_handshakes_failed_total')))),
    ),
  ],
};

export const connections: Dashboard = {
  name: 'connections',
  help: 'Who is connected, why connections end, what they carry, and what is held in memory for them.',
  jobs: 'pktsvc_server_state',
  job: 'pktsvc',
  rows: [churn, traffic, held, lost, secure],
};
