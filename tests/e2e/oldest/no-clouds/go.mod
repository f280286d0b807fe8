// Stands for k8s.io/legacy-cloud-providers, which the build tag "providerless" leaves out.
module k8s.io/legacy-cloud-providers

go 1.20
