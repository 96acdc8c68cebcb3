// kube is etcd, the Kubernetes components and kubectl in one binary. Together they share most of their code: one binary
// is a quarter of the size of seven, and is linked once.
//
// The component is the first argument (`kube apiserver --etcd-servers=...`), or the name under which the binary was
// called, so that a symbolic link `kubectl` behaves as people and scripts expect.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl: exec and cloud credentials in a kubeconfig
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics on /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info on /metrics
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps a name to what runs it; each sees os.Args as if it were a binary of its own.
var components = map[string]func(){
	"etcd":               func() { etcdmain.Main(os.Args) },
	"apiserver":          func() { serve(apiserver.NewAPIServerCommand()) },
	"controller-manager": func() { serve(controllermanager.NewControllerManagerCommand()) },
	"scheduler":          func() { serve(scheduler.NewSchedulerCommand()) },
	"kubelet":            func() { serve(kubelet.NewKubeletCommand(context.Background())) },
	"proxy":              func() { serve(proxy.NewProxyCommand()) },
	"kubectl":            runKubectl,
}

func main() {
	run, args := choose(os.Args)
	if run == nil {
		fmt.Fprintf(os.Stderr, "usage: kube %s [arguments]\n", strings.Join(names(), "|"))
		os.Exit(2)
	}
	// Before the command is made: kubectl reads os.Args then, to find plugins and its verbosity.
	os.Args = args
	run()
}

// choose returns the component to run and the arguments it should see, or nil for a name that is none.
func choose(args []string) (func(), []string) {
	if run, known := components[filepath.Base(args[0])]; known {
		return run, args
	}
	if len(args) < 2 {
		return nil, nil
	}
	return components[args[1]], args[1:]
}

func names() []string {
	known := make([]string, 0, len(components))
	for name := range components {
		known = append(known, name)
	}
	slices.Sort(known)
	return known
}

func serve(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func runKubectl() {
	// Plugins and .kuberc are read while the command is made, before cli would set the verbosity.
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) //nolint:errcheck // as in kubectl itself: a bad -v is reported later
	kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
}
