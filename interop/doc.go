// Package interop has no code: its tests let the engine talk with the reference
// implementation, the Python package cs.packetstream, in both roles. They need the
// environments that interop/install makes, in interop/.venv and interop/.venv-2019, or
// beside each other where PKTSVC_PYTHON, the path of the first one's Python, says;
// without them they are skipped.
//
// The hash store is asked, and served, in three ways:
//
//   - by clients and a server of these tests on the reference's connection, with all
//     requests, encoded by the reference's own classes (store_client.py, store_server.py)
//   - by the recorded sessions of the reference's store, sent through its connection
//   - by the classes of the last cs.vt that was published, 20190309, with its packages
//     as of then (store_2019.py)
//
// Of cs.vt no release was published with the protocol that package store speaks. The
// one of 2019 has the same Add, Get, Contains and Flush, and the same HashCodes and
// HashOfHashCodes without a start. With a start or in reverse order their flags are
// others (1 reverse, 2 after, 4 start): these are refused on both sides, so its
// hashcodes_from works only for an empty store. It knows neither Length nor
// ContainsIndirect nor blake3. It appends files and directories to archives and reads
// the last entry; it fails to encode a link, and to read a list. Its server loses a request that comes while
// it starts, and never answers a Get of a block that came in several reads, from about
// 200 kB. With the cs.packetstream of 2024 it does not start: the class PacketField
// that it imports from cs.binary is gone.
package interop
