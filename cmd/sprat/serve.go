package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"sprat/app"
	"sprat/web"
)

type serveCmd struct {
	Model     []string `help:"A directory in Hugging Face's form, or nano, the model inside this program; as NAME=M under a name of its own. May be repeated: the first is the default, others load when asked." default:"nano" placeholder:"M" sep:"none"`
	Addr      string   `help:"Where to listen: on this machine alone." default:"127.0.0.1:8080"`
	NoBrowser bool     `help:"Print the link, and open no browser." name:"no-browser"`
}

// grace is how long answers under way may go on after Ctrl-C.
const grace = 3 * time.Second

func (c *serveCmd) Run(e *env) error {
	addr, err := loopback(c.Addr)
	if err != nil {
		return usageError{err}
	}
	sources, err := sources(c.Model)
	if err != nil {
		return err
	}
	models, err := app.OpenModels(sources)
	if err != nil {
		return err
	}
	defer models.Close()
	listener, err := listen(e.ctx, addr)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.stderr, nil))
	handler, key, err := app.New(app.Options{
		Completer: models, Page: web.Files(), Port: listener.Addr().(*net.TCPAddr).Port, Log: log,
	})
	if err != nil {
		listener.Close()
		return err
	}
	go func() {
		if err := models.Load(e.ctx); err != nil && e.ctx.Err() == nil {
			log.Error(err.Error())
		}
	}()
	link := fmt.Sprintf("http://%s/#key=%s", listener.Addr(), key)
	fmt.Fprintf(e.stdout, "sprat: the chat is at %s\n", link)
	if !c.NoBrowser {
		if err := openBrowser(link); err != nil {
			fmt.Fprintf(e.stderr, "sprat: open the link in a browser, as this could not: %v\n", err)
		}
	}
	return serve(e.ctx, app.NewServer(handler), listener)
}

// serve serves until ctx ends. Answers under way then have a moment to end by themselves.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	base, cancel := context.WithCancel(context.Background())
	defer cancel()
	server.BaseContext = func(net.Listener) context.Context { return base }
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.Background(), grace)
	defer stop()
	if server.Shutdown(patience) != nil {
		cancel() // which ends the answers
		server.Close()
	}
	return nil
}

// loopback is the address to listen on for addr, which must be of this machine alone.
func loopback(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("--addr %s: want HOST:PORT, as in 127.0.0.1:8080", addr)
	}
	switch host {
	case "localhost":
		host = "127.0.0.1"
	case "127.0.0.1", "::1":
	default:
		return "", fmt.Errorf("--addr %s: want 127.0.0.1, localhost or [::1], as others could use the server too, and it has no accounts yet", addr)
	}
	if _, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err != nil {
		return "", fmt.Errorf("--addr %s: the port is not a number up to 65535", addr)
	}
	return net.JoinHostPort(host, port), nil
}

// modelName is what a model may be called.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// sources reads the models of the command line.
func sources(models []string) ([]app.Source, error) {
	var list []app.Source
	seen := map[string]bool{}
	for _, m := range models {
		name, path, named := strings.Cut(m, "=")
		if !named || !modelName.MatchString(name) {
			path = m
			name = filepath.Base(path)
		}
		if abs, err := filepath.Abs(path); err == nil && path != builtin && !named {
			name = filepath.Base(abs)
		}
		if !modelName.MatchString(name) {
			return nil, usageError{fmt.Errorf("--model %s: %q is no name for a model: give it one of letters and digits, as in --model mine=%s", m, name, path)}
		}
		if seen[name] {
			return nil, usageError{fmt.Errorf("--model %s: another one is called %s: give it a name of its own, as in --model other=%s", m, name, path)}
		}
		seen[name] = true
		files, err := modelFS(path)
		if err != nil {
			return nil, err
		}
		list = append(list, app.Source{Name: name, Files: files})
	}
	return list, nil
}

// listen listens on addr, or says who does.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		who := "another program"
		if isSprat(ctx, addr) {
			who = fmt.Sprintf("another sprat, whose page is at http://%s/", addr)
		}
		return nil, fmt.Errorf("--addr %s: the port is taken by %s; choose another, as in --addr 127.0.0.1:8081", addr, who)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("--addr %s: this port is the administrator's; choose one over 1023", addr)
	}
	return nil, fmt.Errorf("--addr %s: %w", addr, err)
}

// isSprat tells whether a sprat serves at addr.
func isSprat(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/models", nil)
	if err != nil {
		return false
	}
	answer, err := new(http.Transport).RoundTrip(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var models struct {
		Data []struct {
			OwnedBy string `json:"owned_by"`
		} `json:"data"`
	}
	err = json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 1<<20)).Decode(&models)
	return err == nil && len(models.Data) > 0 && models.Data[0].OwnedBy == "sprat"
}

// openBrowser opens the link, if this machine has a screen. Others who look at the machine's processes may see the link, with
// a key that is worth one exchange, which the page does at once.
func openBrowser(link string) error {
	var command *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		command = exec.Command("open", link)
	case "windows":
		command = exec.Command("rundll32", "url.dll,FileProtocolHandler", link)
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return errors.New("it found no screen")
		}
		command = exec.Command("xdg-open", link)
	}
	if err := command.Start(); err != nil {
		return err
	}
	go command.Wait()
	return nil
}
