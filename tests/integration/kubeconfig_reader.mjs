// Copyright: Kubestead contributors
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the JavaScript client of Kubernetes reads in a kubeconfig: names, references and tokens as JSON.
import { KubeConfig } from '@kubernetes/client-node';

const config = new KubeConfig();
config.loadFromFile(process.argv[2]);
console.log(
  JSON.stringify({
    clusters: config.clusters.map((cluster) => cluster.name),
    users: config.users.map((user) => [user.name, user.token]),
    contexts: config.contexts.map((each) => [each.name, each.cluster, each.user, each.namespace]),
    current: config.currentContext,
  }),
);
