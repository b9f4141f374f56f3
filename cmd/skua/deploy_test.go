package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deployDir = "../../deploy"

// yamlOf has the documents of a YAML file.
func yamlOf(t *testing.T, file string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployDir, file))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, doc)
	}
}

// at follows keys and indexes into what was read.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok || m[p] == nil {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = m[p]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= p {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = l[p]
		}
	}
	return v
}

func texts(v any) []string {
	list, _ := v.([]any)
	all := make([]string, len(list))
	for i, x := range list {
		all[i], _ = x.(string)
	}
	return all
}

// manifests are those of deploy/kubernetes by kind and name.
func manifests(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	listed := texts(at(t, yamlOf(t, "kubernetes/kustomization.yaml")[0], "resources"))
	entries, err := os.ReadDir(filepath.Join(deployDir, "kubernetes"))
	if err != nil || len(entries) != len(listed)+1 {
		t.Fatalf("%d files, and %q in kustomization.yaml: %v", len(entries), listed, err)
	}
	for _, file := range listed {
		for _, doc := range yamlOf(t, "kubernetes/"+file) {
			name := at(t, doc, "kind").(string) + "/" + at(t, doc, "metadata", "name").(string)
			if at(t, doc, "apiVersion") == "" || all[name] != nil {
				t.Errorf("%s: %s has no version, or is there twice", file, name)
			}
			all[name] = doc
		}
	}
	return all
}

// readSecrets has file:PATH of a configuration point to files that are there, and puts them into dir.
func readSecrets(t *testing.T, dir, text string) string {
	t.Helper()
	for name, content := range map[string]string{
		"cluster-secret": strings.Repeat("s", 44), "cluster_secret": strings.Repeat("s", 44), "admin-token": "token", "admin_token": "token",
		"mongo-uri": "mongodb://me:pass@127.0.0.1:27017/?replicaSet=rs0",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer("file:/secrets/", "file:"+dir+"/", "file:/run/secrets/", "file:"+dir+"/").Replace(text)
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, ok := strings.Cut(addr, ":")
	port, err := strconv.Atoi(text)
	if !ok || err != nil {
		t.Fatalf("no port in %q", addr)
	}
	return port
}

func TestKubernetesManifestsHaveAConfigurationThatANodeTakes(t *testing.T) {
	all := manifests(t)
	set := at(t, all["StatefulSet/skua"], "spec").(map[string]any)
	pod := at(t, set, "template", "spec").(map[string]any)
	box := at(t, pod, "containers", 0)
	dir := t.TempDir()
	text := readSecrets(t, dir, at(t, all["ConfigMap/skua"], "data", "skua.toml").(string))
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"SKUA_NAME=skua-0"}
	for _, e := range at(t, box, "env").([]any) {
		name := at(t, e, "name").(string)
		if value, ok := e.(map[string]any)["value"].(string); ok {
			environ = append(environ, name+"="+value)
		} else if name != "SKUA_NAME" || at(t, e, "valueFrom", "fieldRef", "fieldPath") != "metadata.name" {
			t.Errorf("%s: its value is not known to this test", name)
		}
	}
	cfg, err := loadConfig(dir, environ)
	if err != nil || len(cfg.Warnings) > 0 {
		t.Fatalf("%v %v", err, cfg.Warnings)
	}

	ports := map[string]int{}
	for _, p := range at(t, box, "ports").([]any) {
		ports[at(t, p, "name").(string)] = at(t, p, "containerPort").(int)
	}
	for name, addr := range map[string]string{
		"tcp": cfg.Listen.TCP, "kcp": cfg.Listen.KCP, "http": cfg.Listen.HTTP, "admin": cfg.Listen.Admin, "cluster": cfg.Listen.Cluster, "routes": cfg.Listen.Routes,
	} {
		if ports[name] != portOf(t, addr) {
			t.Errorf("port %s is %d in the pod, and %s in the configuration", name, ports[name], addr)
		}
	}
	for _, service := range []string{"Service/skua", "Service/skua-clients"} {
		for _, p := range at(t, all[service], "spec", "ports").([]any) {
			if target := at(t, p, "targetPort").(string); ports[target] != at(t, p, "port") {
				t.Errorf("%s: port %v is %d in the pod", service, p, ports[target])
			}
		}
	}
	// Names of the nodes are those of pods in the headless service, as many as there are.
	want := make([]string, at(t, set, "replicas").(int))
	for i := range want {
		want[i] = "skua-" + strconv.Itoa(i) + "." + at(t, set, "serviceName").(string) + ":" + strconv.Itoa(ports["routes"])
	}
	if !slices.Equal(cfg.Cluster.Routes, want) || at(t, all["Service/skua"], "spec", "clusterIP") != "None" || at(t, all["Service/skua"], "spec", "publishNotReadyAddresses") != true {
		t.Errorf("cluster.routes is %q, expected %q of a headless service that names pods which are not ready", cfg.Cluster.Routes, want)
	}
	checkPodEnd(t, &cfg, pod, box)
}

// checkPodEnd holds the pod's commands, probes and times against the program.
func checkPodEnd(t *testing.T, cfg *Config, pod map[string]any, box any) {
	t.Helper()
	for probe, path := range map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
		if at(t, box, probe, "httpGet", "path") != path || at(t, box, probe, "httpGet", "port") != "admin" {
			t.Errorf("%s: %v", probe, at(t, box, probe))
		}
	}
	stop := texts(at(t, box, "lifecycle", "preStop", "exec", "command"))
	checkCommand(t, stop)
	checkCommand(t, append([]string{"/usr/local/bin/skua"}, texts(at(t, box, "args"))...))
	timeout := stop[slices.Index(stop, "--timeout")+1]
	var within Duration
	if err := within.UnmarshalText([]byte(timeout)); err != nil {
		t.Fatal(err)
	}
	grace := at(t, pod, "terminationGracePeriodSeconds").(int)
	if need := within.Seconds() + cfg.Cluster.Drain.Seconds() + stopTimeout.Seconds(); float64(grace) < need {
		t.Errorf("the pod is killed after %d s, and may need %v s", grace, need)
	}
	mounts, volumes := map[string]bool{"data": true}, 0
	for _, v := range at(t, pod, "volumes").([]any) {
		mounts[at(t, v, "name").(string)] = true
	}
	for _, m := range at(t, box, "volumeMounts").([]any) {
		if volumes++; !mounts[at(t, m, "name").(string)] {
			t.Errorf("%v: there is no such volume", m)
		}
	}
	if volumes != len(mounts) {
		t.Errorf("%d mounts of %d volumes", volumes, len(mounts))
	}
}

// checkCommand finds a command line in the program, with all its flags.
func checkCommand(t *testing.T, line []string) {
	t.Helper()
	if len(line) < 2 || line[0] != "/usr/local/bin/skua" {
		t.Errorf("%q is not where the image has the program", line)
		return
	}
	cmd, rest, err := newRootCommand(extensions()).Find(line[1:])
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%q: %v", line, err)
	}
}

func TestKubernetesManifestsSpeakOfTheSamePods(t *testing.T) {
	all := manifests(t)
	want := at(t, all["StatefulSet/skua"], "spec", "template", "metadata", "labels").(map[string]any)
	for name, path := range map[string][]any{
		"StatefulSet/skua": {"spec", "selector", "matchLabels"}, "Service/skua": {"spec", "selector"}, "Service/skua-clients": {"spec", "selector"},
		"PodDisruptionBudget/skua": {"spec", "selector", "matchLabels"}, "NetworkPolicy/skua": {"spec", "podSelector", "matchLabels"},
	} {
		got := at(t, all[name], path...).(map[string]any)
		for k, v := range got {
			if want[k] != v {
				t.Errorf("%s selects %v, the pods are %v", name, got, want)
			}
		}
	}
	if at(t, all["PodDisruptionBudget/skua"], "spec", "maxUnavailable") != 1 {
		t.Error("a disruption may take the majority")
	}
}

func TestComposeFileHasConfigurationsThatNodesTake(t *testing.T) {
	doc := yamlOf(t, "compose.yaml")[0]
	services := at(t, doc, "services").(map[string]any)
	names, hostPorts := []string{}, map[string]string{}
	for service, s := range services {
		env, ok := s.(map[string]any)["environment"].(map[string]any)
		if !ok {
			continue // not a node
		}
		dir := t.TempDir()
		environ := []string{}
		for k, v := range env {
			environ = append(environ, k+"="+readSecrets(t, dir, v.(string)))
		}
		cfg, err := loadConfig(dir, environ)
		if err != nil || len(cfg.Warnings) > 0 {
			t.Fatalf("%s: %v %v", service, err, cfg.Warnings)
		}
		names = append(names, cfg.Name)
		if cfg.Name != service || !slices.Contains(cfg.Cluster.Routes, service+":"+strconv.Itoa(portOf(t, cfg.Listen.Routes))) {
			t.Errorf("%s is called %s, and finds the others at %q", service, cfg.Name, cfg.Cluster.Routes)
		}
		listens := []int{portOf(t, cfg.Listen.TCP), portOf(t, cfg.Listen.HTTP), portOf(t, cfg.Listen.Admin)}
		for _, p := range texts(at(t, s, "ports")) {
			text, proto, _ := strings.Cut(p, "/")
			host, inside := text[:strings.LastIndexByte(text, ':')], portOf(t, text[strings.LastIndexByte(text, ':'):])
			if !slices.Contains(listens, inside) {
				t.Errorf("%s: nobody listens on %s", service, p)
			}
			if other := hostPorts[host+proto]; other != "" {
				t.Errorf("%s and %s have %s", service, other, p)
			}
			hostPorts[host+proto] = service
		}
		var grace Duration
		if err := grace.UnmarshalText([]byte(at(t, s, "stop_grace_period").(string))); err != nil || grace.Duration <= cfg.Cluster.Drain.Duration {
			t.Errorf("%s is killed after %v, and drains for %v: %v", service, grace, cfg.Cluster.Drain, err)
		}
	}
	if len(names) != 3 {
		t.Errorf("the nodes are %q", names)
	}
}

func TestTheImageRunsCommandsThatThereAre(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployDir, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		line, isHealth := strings.TrimSpace(line), strings.HasPrefix(line, "HEALTHCHECK")
		if !isHealth && !strings.HasPrefix(line, "CMD") {
			continue
		}
		var words []string
		if err := yaml.Unmarshal([]byte(line[strings.IndexByte(line, '['):]), &words); err != nil {
			t.Fatal(err)
		}
		if !isHealth {
			words = append([]string{"/usr/local/bin/skua"}, words...)
		}
		found++
		checkCommand(t, words)
	}
	if found != 2 || !strings.Contains(string(text), "\nUSER 65532") || !strings.Contains(string(text), "CGO_ENABLED=0") {
		t.Errorf("found %d commands; expected a health check and a command, a static program, and a user that is not root", found)
	}
}
