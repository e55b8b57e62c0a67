// Package interop has no code: its tests let the engine talk with the reference
// implementation, the Python package cs.packetstream, in both roles. They need the
// environment that interop/install makes, in interop/.venv or where PKTSVC_PYTHON, the
// path of its Python, says; without it they are skipped.
package interop
