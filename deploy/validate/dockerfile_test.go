package validate

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// noImages stands in for the registries: rules that look at base images see empty
// ones.
type noImages struct{}

func (noImages) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"architecture": "amd64", "os": "linux"}`), nil
}

func TestDockerfileLint(t *testing.T) {
	source := readFile(t, "Dockerfile")
	lines := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", source)
	lines.Definition = new(llb.Definition)
	results, err := dockerfile2llb.DockerfileLint(t.Context(), source, dockerfile2llb.ConvertOpt{MetaResolver: noImages{}, SourceMap: lines})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		t.Error(results.Error.Message)
	}
	for _, w := range results.Warnings {
		t.Errorf("%s: %s (%s)", w.RuleName, w.Detail, w.Description)
	}
}

func stages(t *testing.T) (build, final instructions.Stage) {
	t.Helper()
	file, err := parser.Parse(bytes.NewReader(readFile(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := instructions.Parse(file.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("%d stages, want 2", len(list))
	}
	return list[0], list[1]
}

// commands of one kind in a stage.
func commands[C instructions.Command](s instructions.Stage) (list []C) {
	for _, c := range s.Commands {
		if c, ok := c.(C); ok {
			list = append(list, c)
		}
	}
	return list
}

func one[C instructions.Command](t *testing.T, s instructions.Stage) C {
	t.Helper()
	list := commands[C](s)
	if len(list) != 1 {
		t.Fatalf("%d commands %T in stage %s, want 1", len(list), *new(C), s.BaseName)
	}
	return list[0]
}

func TestDockerfileBuild(t *testing.T) {
	build, final := stages(t)
	version, ok := strings.CutPrefix(build.BaseName, "golang:")
	version, _, _ = strings.Cut(version, "-")
	if !ok || strings.Count(version, ".") != 2 {
		t.Errorf("built from %s, want golang with a version of three numbers", build.BaseName)
	}
	module, err := modfile.ParseLax("go.mod", readFile(t, "go.mod"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if semver.Compare("v"+version, "v"+module.Go.Version) < 0 {
		t.Errorf("built with Go %s, go.mod wants %s", version, module.Go.Version)
	}
	if build.Platform != "$BUILDPLATFORM" {
		t.Error("a build for another platform would be emulated instead of compiled across")
	}
	runs := commands[*instructions.RunCommand](build)
	compile := strings.Join(runs[len(runs)-1].CmdLine, " ")
	for _, want := range []string{
		"CGO_ENABLED=0", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH", "-trimpath", "-buildvcs=false", "@$SOURCE_DATE_EPOCH",
		"-X github.com/pktsvc/pktsvc/pkg/server.version=$VERSION", "-X github.com/pktsvc/pktsvc/pkg/server.revision=$REVISION",
	} {
		if !strings.Contains(compile, want) {
			t.Errorf("the build has no %s", want)
		}
	}
	// What the linker sets has to exist, or it sets nothing without a word.
	if source := readFile(t, "pkg/server/build.go"); !regexp.MustCompile(`(?m)^var version, revision string$`).Match(source) {
		t.Error("pkg/server has no variables version and revision for the linker to set")
	}
	copied := commands[*instructions.CopyCommand](final)
	if len(copied) != 2 || copied[0].From != build.Name || copied[1].From != build.Name || !strings.Contains(compile, "mkdir "+copied[1].SourcePaths[0]+" ") {
		t.Error("the final image holds more from the build than the program and an empty folder")
	}
}

func TestDockerfileImage(t *testing.T) {
	_, final := stages(t)
	if name, tag, _ := strings.Cut(final.BaseName, ":"); name != "gcr.io/distroless/static-debian12" || tag != "nonroot" {
		t.Errorf("based on %s", final.BaseName)
	}
	user, _, _ := strings.Cut(one[*instructions.UserCommand](t, final).User, ":")
	if uid, err := strconv.Atoi(user); err != nil || uid == 0 {
		t.Errorf("user %q, want a number other than 0", user)
	}
	environ := make(map[string]string)
	for _, env := range commands[*instructions.EnvCommand](final) {
		for _, pair := range env.Env {
			environ[pair.Key] = pair.Value
		}
	}
	if _, set := environ["PKTSVC_ADMIN"]; set {
		t.Error("the image opens the admin server, which shows and changes the inside")
	}
	environ["PKTSVC_ADMIN"] = "0.0.0.0:7451" // as deployed

	// Blocks go to the volume, which the user may write to.
	volume := one[*instructions.VolumeCommand](t, final).Volumes[0]
	data := commands[*instructions.CopyCommand](final)[1]
	if environ["PKTSVC_DATA"] != volume || data.DestPath != volume || !strings.HasPrefix(data.Chown, user+":") {
		t.Errorf("blocks are kept in %q, the volume is %q, a copy of %q of %q", environ["PKTSVC_DATA"], volume, data.DestPath, data.Chown)
	}
	packets, admin := ports(t, settings(t, environ, ""))
	exposed := strings.Join(one[*instructions.ExposeCommand](t, final).Ports, " ")
	if want := strconv.Itoa(packets) + " " + strconv.Itoa(admin); exposed != want {
		t.Errorf("exposes %s, want %s", exposed, want)
	}
	if signal := one[*instructions.StopSignalCommand](t, final).Signal; signal != "SIGTERM" {
		t.Errorf("stops by %s", signal)
	}
	health := one[*instructions.HealthCheckCommand](t, final).Health
	if got := strings.Join(health.Test, " "); got != "CMD /pktsvc healthcheck" {
		t.Errorf("health check %q", got)
	}
	if health.Interval > 10*time.Second || health.Timeout <= 3*time.Second {
		t.Errorf("health check every %v with a timeout of %v; its own timeout is 3 s", health.Interval, health.Timeout)
	}
	if got := strings.Join(one[*instructions.EntrypointCommand](t, final).CmdLine, " "); got != "/pktsvc" {
		t.Errorf("entry point %q", got)
	}
	if got := strings.Join(one[*instructions.CmdCommand](t, final).CmdLine, " "); got != "serve" {
		t.Errorf("command %q", got)
	}
}
