package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config() server.Config {
	cfg := server.Default()
	cfg.Listen, cfg.Admin, cfg.Log.Level = []string{"tcp://127.0.0.1:0"}, "127.0.0.1:0", "error"
	return cfg
}

func TestValidate(t *testing.T) {
	if err := fx.ValidateApp(app(config())); err != nil {
		t.Fatal(err)
	}
}

func TestApp(t *testing.T) {
	var packets *server.PacketServer
	var admin *server.AdminServer
	running := fxtest.New(t, app(config()), fx.Populate(&packets, &admin)).RequireStart()
	defer running.RequireStop()

	address := strings.TrimPrefix(packets.Addresses()[0], "tcp://")
	client, err := stream.NewClient(stream.DialNetwork("tcp", address), stream.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()

	if answer, err := Greet.Do(ctx, client, "you"); err != nil || answer != "hello, you" {
		t.Errorf("Greet: %q, %v", answer, err)
	}
	if _, err := Define.Do(ctx, client, "tag=names a request"); err != nil {
		t.Errorf("Define: %v", err)
	}
	if meaning, err := Look.Do(ctx, client, "tag"); err != nil || meaning != "names a request" {
		t.Errorf("Look: %q, %v", meaning, err)
	}
	_, err = Look.Do(ctx, client, "nothing")
	if rejected := (*stream.Error)(nil); !errors.As(err, &rejected) || string(rejected.Payload) != `"nothing" is not defined` {
		t.Errorf("Look for what is not there: %v", err)
	}
	resp, err := http.Get(admin.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz answers %s", resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}
