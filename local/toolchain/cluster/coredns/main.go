// coredns is CoreDNS with the few plugins that a cluster without a way to the outside can use.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order is the one in which a query passes through the plugins, and follows upstream's plugin.cfg. Importing
	// coremain brings no list of its own, so that a plugin left out here is refused in the Corefile.
	dnsserver.Directives = []string{"bind", "ready", "health", "errors", "loadbalance", "template", "kubernetes"}
	coremain.Run()
}
