package validate

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/docker/go-units"

	"github.com/pktsvc/pktsvc/pkg/server"
)

// unitFile is what a unit says, by section and key. Environment= may be repeated.
type unitFile struct {
	values  map[string]string
	environ map[string]string
}

func readUnit(t *testing.T, name string) unitFile {
	t.Helper()
	options, err := unit.DeserializeOptions(bytes.NewReader(readFile(t, "deploy/systemd/"+name)))
	if err != nil {
		t.Fatal(err)
	}
	u := unitFile{make(map[string]string), make(map[string]string)}
	for _, option := range options {
		if option.Name == "Environment" {
			key, value, _ := strings.Cut(option.Value, "=")
			u.environ[key] = value
		} else {
			u.values[option.Section+"."+option.Name] = option.Value
		}
	}
	return u
}

func TestUnitAgreesWithTheProgram(t *testing.T) {
	service, socket := readUnit(t, "pktsvc.service"), readUnit(t, "pktsvc.socket")
	cfg := settings(t, service.environ, "")
	if got := service.values["Service.Type"]; got != "notify" {
		t.Errorf("Type=%s, the program says when it is ready", got)
	}
	grace, err := time.ParseDuration(service.values["Service.TimeoutStopSec"])
	if err != nil {
		t.Fatal(err)
	}
	checkStopTime(t, cfg, grace)
	if files, err := strconv.Atoi(service.values["Service.LimitNOFILE"]); err != nil || files < cfg.Limits.Connections*3/2 {
		t.Errorf("LimitNOFILE=%s is too low for %d connections", service.values["Service.LimitNOFILE"], cfg.Limits.Connections)
	}
	limit, err := units.RAMInBytes(service.values["Service.MemoryMax"])
	if err != nil {
		t.Fatal(err)
	}
	checkMemory(t, service.environ["GOMEMLIMIT"], limit)

	// The one folder that it may write to is that of the blocks.
	if folder := service.values["Service.StateDirectory"]; folder == "" || service.environ["PKTSVC_DATA"] != "%S/"+folder {
		t.Errorf("blocks are kept in %q, StateDirectory=%s", service.environ["PKTSVC_DATA"], folder)
	}

	// The program takes the socket that systemd has opened.
	name := socket.values["Socket.FileDescriptorName"]
	if len(cfg.Listen) != 1 || cfg.Listen[0] != "systemd:"+name {
		t.Errorf("listens on %v, the socket is called %q", cfg.Listen, name)
	}
	if port := socket.values["Socket.ListenStream"]; !strings.HasSuffix(server.DefaultListen, ":"+port) {
		t.Errorf("ListenStream=%s, elsewhere packets are at %s", port, server.DefaultListen)
	}
}
