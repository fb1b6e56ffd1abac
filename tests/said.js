// The sentences about a clip of which the model says these numbers.
([probabilities, label, changes, target, multilabel]) => {
  const decided = multilabel ? Object.keys(probabilities).filter((k) => probabilities[k] >= 0.5)
      : [Object.keys(probabilities).reduce((a, b) => (probabilities[a] >= probabilities[b] ? a : b))];
  const versions = ["keep", "remove"].map((kind, i) => ({ ...data.versions[1], kind, ratio: 0.1,
      reencoded: { label: changes[i][0], probability: changes[i][1], agrees: changes[i][2], value: null } }));
  const d = { ...data, multilabel, decided, versions, probabilities: Object.entries(probabilities),
      target: { ...data.target, label, probability: probabilities[label], ...target } };
  return [decision(d), ...versions.map((v) => versionSentence(d, v)), enough(d)].filter(Boolean).join(" ");
}
