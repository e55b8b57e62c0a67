// Package e2e runs the program, its dashboards and its alerts against real
// components: a Prometheus that scrapes a service under load, and a Jaeger that
// takes its traces. It is a module of its own, so that what these tests need
// stays out of the dependencies of pktsvc.
//
// components/install builds the components first; README.md says more.
package e2e
