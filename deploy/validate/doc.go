// Package validate holds the tests of everything that is deployed: Dockerfile,
// docker-compose.yml, Kubernetes manifests, systemd units. They are read as the
// tools that use them would read them, and compared with the program: its ports,
// its paths, the time that it takes to stop. No container engine, no cluster and no
// systemd is needed.
//
// It is a module of its own, so that those tools are no dependencies of the program.
package validate
