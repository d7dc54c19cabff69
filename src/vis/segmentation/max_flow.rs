//! Maximum flow through a graph of pixels, after Boykov and Kolmogorov (2004): the pixels that stay with the source are the
//! cheapest cut's.
//!
//! General graph libraries take tens of seconds for an image of 227 × 227 pixels, whose edges are short and alike; this
//! takes about a tenth of one.

/// No arc: the node is in no tree.
const NONE: u32 = u32::MAX;
/// The parent is the terminal.
const TERMINAL: u32 = u32::MAX - 1;
/// The node lost its parent, and waits for another.
const ORPHAN: u32 = u32::MAX - 2;

/// One direction of an edge. Arcs come in pairs: that of `arc` backwards is `arc ^ 1`.
struct Arc {
    head: u32,
    /// The next arc that leaves the same node.
    next: u32,
    /// How much more can flow.
    left: f64,
}

struct Node {
    first: u32,
    /// The arc to the node's parent, or what it has instead.
    parent: u32,
    /// When its distance was last known to be right.
    time: u32,
    /// How far the terminal is along its tree.
    distance: u32,
    /// Does its tree start at the sink?
    of_sink: bool,
    /// Is it in the queue?
    active: bool,
    /// What can still flow from the source to it, or, below 0, from it to the sink.
    terminal: f64,
}

/// A graph between a source and a sink.
pub struct FlowGraph {
    nodes: Vec<Node>,
    arcs: Vec<Arc>,
    queue: std::collections::VecDeque<u32>,
    orphans: Vec<u32>,
    time: u32,
    flow: f64,
}

impl FlowGraph {
    /// A graph of `nodes` nodes without edges; there will be about `edges` of them.
    pub fn new(nodes: usize, edges: usize) -> Self {
        let node =
            || Node { first: NONE, parent: NONE, time: 0, distance: 0, of_sink: false, active: false, terminal: 0.0 };
        Self {
            nodes: std::iter::repeat_with(node).take(nodes).collect(),
            arcs: Vec::with_capacity(2 * edges),
            queue: std::collections::VecDeque::new(),
            orphans: Vec::new(),
            time: 0,
            flow: 0.0,
        }
    }

    /// Lets `from_source` flow from the source to a node, and `to_sink` from it to the sink; both are at least 0.
    pub fn terminals(&mut self, node: usize, from_source: f64, to_sink: f64) {
        let through = from_source.min(to_sink);
        self.flow += through;
        self.nodes[node].terminal = (from_source - through) - (to_sink - through);
    }

    /// Lets `capacity`, at least 0, flow between two nodes in either direction.
    pub fn edge(&mut self, one: usize, other: usize, capacity: f64) {
        let arc = self.arcs.len() as u32;
        self.arcs.push(Arc { head: other as u32, next: self.nodes[one].first, left: capacity });
        self.arcs.push(Arc { head: one as u32, next: self.nodes[other].first, left: capacity });
        self.nodes[one].first = arc;
        self.nodes[other].first = arc + 1;
    }

    /// Finds the maximum flow, and returns how much it is.
    pub fn run(&mut self) -> f64 {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.terminal != 0.0 {
                node.of_sink = node.terminal < 0.0;
                node.parent = TERMINAL;
                node.distance = 1;
                node.active = true;
                self.queue.push_back(index as u32);
            }
        }
        while let Some(node) = self.queue.pop_front() {
            self.nodes[node as usize].active = false;
            // a tree may have lost the node while it waited
            while self.nodes[node as usize].parent != NONE {
                let Some(meeting) = self.grow(node) else { break };
                self.time += 1;
                self.augment(meeting);
                while let Some(orphan) = self.orphans.pop() {
                    self.adopt(orphan);
                }
            }
        }
        self.flow
    }

    /// Is a node on the source's side of the cut? Nodes that nothing reaches any more are not.
    pub fn with_source(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.parent != NONE && !node.of_sink
    }

    fn activate(&mut self, node: u32) {
        let entry = &mut self.nodes[node as usize];
        if !entry.active {
            entry.active = true;
            self.queue.push_back(node);
        }
    }

    /// The arcs that leave a node, through `next`.
    fn after(&self, arc: u32) -> u32 {
        self.arcs[arc as usize].next
    }

    /// What can still flow along an arc in the direction of a tree: away from the source, or towards the sink.
    fn outwards(&self, arc: u32, of_sink: bool) -> f64 {
        self.arcs[(if of_sink { arc ^ 1 } else { arc }) as usize].left
    }

    /// Makes the free neighbours of a node children of it. Where its tree meets the other one, the arc between them, from
    /// the source's tree to the sink's.
    fn grow(&mut self, node: u32) -> Option<u32> {
        let Node { of_sink, time, distance, first, .. } = self.nodes[node as usize];
        let mut arc = first;
        while arc != NONE {
            if self.outwards(arc, of_sink) > 0.0 {
                let head = self.arcs[arc as usize].head;
                let other = &mut self.nodes[head as usize];
                if other.parent == NONE {
                    *other = Node { parent: arc ^ 1, of_sink, time, distance: distance + 1, ..*other };
                    self.activate(head);
                } else if other.of_sink != of_sink {
                    // the node may find more when it is looked at again
                    return Some(if of_sink { arc ^ 1 } else { arc });
                } else if other.time <= time && other.distance > distance + 1 {
                    // a shorter way to the terminal
                    other.parent = arc ^ 1;
                    other.time = time;
                    other.distance = distance + 1;
                }
            }
            arc = self.after(arc);
        }
        None
    }

    /// Sends as much as possible along the path through an arc between the trees.
    fn augment(&mut self, meeting: u32) {
        let ends = [(self.arcs[(meeting ^ 1) as usize].head, false), (self.arcs[meeting as usize].head, true)];
        let mut most = self.arcs[meeting as usize].left;
        for (mut node, of_sink) in ends {
            while let Some(arc) = self.arc_to_parent(node) {
                most = most.min(self.outwards(arc ^ 1, of_sink));
                node = self.arcs[arc as usize].head;
            }
            most = most.min(self.nodes[node as usize].terminal.abs());
        }
        self.send(meeting, most);
        for (mut node, of_sink) in ends {
            while let Some(arc) = self.arc_to_parent(node) {
                let along = if of_sink { arc } else { arc ^ 1 };
                self.send(along, most);
                let parent = self.arcs[arc as usize].head;
                if self.arcs[along as usize].left <= 0.0 {
                    self.make_orphan(node);
                }
                node = parent;
            }
            let terminal = &mut self.nodes[node as usize].terminal;
            *terminal -= if of_sink { -most } else { most };
            if *terminal == 0.0 {
                self.make_orphan(node);
            }
        }
        self.flow += most;
    }

    fn arc_to_parent(&self, node: u32) -> Option<u32> {
        let parent = self.nodes[node as usize].parent;
        (parent < ORPHAN).then_some(parent)
    }

    fn send(&mut self, arc: u32, amount: f64) {
        self.arcs[arc as usize].left -= amount;
        self.arcs[(arc ^ 1) as usize].left += amount;
    }

    fn make_orphan(&mut self, node: u32) {
        self.nodes[node as usize].parent = ORPHAN;
        self.orphans.push(node);
    }

    /// Finds another parent for a node in its tree, the one nearest to the terminal, or takes it out of the tree.
    fn adopt(&mut self, orphan: u32) {
        let Node { first, of_sink, .. } = self.nodes[orphan as usize];
        let mut best: Option<(u32, u32)> = None;
        let mut arc = first;
        while arc != NONE {
            let head = self.arcs[arc as usize].head;
            let other = &self.nodes[head as usize];
            if self.outwards(arc ^ 1, of_sink) > 0.0
                && other.of_sink == of_sink
                && other.parent != NONE
                && let Some(distance) = self.distance(head)
                && best.is_none_or(|(_, least)| distance < least)
            {
                best = Some((arc, distance));
            }
            arc = self.after(arc);
        }
        if let Some((arc, distance)) = best {
            let time = self.time;
            let node = &mut self.nodes[orphan as usize];
            *node = Node { parent: arc, time, distance: distance + 1, ..*node };
            return;
        }
        let mut arc = first;
        while arc != NONE {
            let head = self.arcs[arc as usize].head;
            let Node { of_sink: other_of_sink, parent, .. } = self.nodes[head as usize];
            if other_of_sink == of_sink && parent != NONE {
                if self.outwards(arc ^ 1, of_sink) > 0.0 {
                    self.activate(head);
                }
                if parent < ORPHAN && self.arcs[parent as usize].head == orphan {
                    self.make_orphan(head);
                }
            }
            arc = self.after(arc);
        }
        self.nodes[orphan as usize].parent = NONE;
    }

    /// How far a node is from its terminal, if its tree still reaches that.
    fn distance(&mut self, node: u32) -> Option<u32> {
        let (mut at, mut steps) = (node, 0);
        loop {
            let Node { parent, time, distance, .. } = self.nodes[at as usize];
            if time == self.time && parent != ORPHAN {
                steps += distance;
                break;
            }
            match parent {
                TERMINAL => {
                    let root = &mut self.nodes[at as usize];
                    (root.time, root.distance) = (self.time, 1);
                    steps += 1;
                    break;
                }
                ORPHAN | NONE => return None,
                arc => {
                    at = self.arcs[arc as usize].head;
                    steps += 1;
                }
            }
        }
        // all on the way know it now
        let (mut at, mut left) = (node, steps);
        while self.nodes[at as usize].time != self.time {
            let node = &mut self.nodes[at as usize];
            (node.time, node.distance) = (self.time, left);
            left -= 1;
            at = self.arcs[node.parent as usize].head;
        }
        Some(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A made-up graph, as lists.
    struct Made {
        terminals: Vec<(f64, f64)>,
        edges: Vec<(usize, usize, f64)>,
    }

    impl Made {
        fn random(nodes: usize, edges: usize, seed: u64) -> Self {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            // few different capacities, so that many are equal and some are 0
            let mut capacity = move || f64::from(random.random_range(0..6u8));
            let terminals = (0..nodes).map(|_| (capacity(), capacity())).collect();
            let mut random = ChaCha8Rng::seed_from_u64(seed + 1);
            let edges = (0..edges)
                .map(|_| (random.random_range(0..nodes), random.random_range(0..nodes), capacity() * 0.7))
                .filter(|(one, other, _)| one != other)
                .collect();
            Self { terminals, edges }
        }

        fn grid(side: usize, seed: u64) -> Self {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut number = || random.random::<f64>();
            let terminals = (0..side * side).map(|_| (number() * 9.0, number() * 9.0)).collect();
            let mut edges = Vec::new();
            for y in 0..side {
                for x in 0..side {
                    for (other_y, other_x) in [(y, x + 1), (y + 1, x), (y + 1, x + 1)] {
                        if other_y < side && other_x < side {
                            edges.push((y * side + x, other_y * side + other_x, number() * 4.0));
                        }
                    }
                }
            }
            Self { terminals, edges }
        }

        /// The flow, and which nodes are with the source.
        fn cut(&self) -> (f64, Vec<bool>) {
            let mut graph = FlowGraph::new(self.terminals.len(), self.edges.len());
            for (node, (from_source, to_sink)) in self.terminals.iter().enumerate() {
                graph.terminals(node, *from_source, *to_sink);
            }
            for (one, other, capacity) in &self.edges {
                graph.edge(*one, *other, *capacity);
            }
            let flow = graph.run();
            (flow, (0..self.terminals.len()).map(|node| graph.with_source(node)).collect())
        }

        /// What a cut costs, from its definition.
        fn cost(&self, with_source: &[bool]) -> f64 {
            let terminals = self.terminals.iter().zip(with_source).map(|(t, with)| if *with { t.1 } else { t.0 });
            let edges = self.edges.iter().filter(|(one, other, _)| with_source[*one] != with_source[*other]);
            terminals.sum::<f64>() + edges.map(|(_, _, capacity)| capacity).sum::<f64>()
        }

        /// The maximum flow by shortest paths in a matrix (Edmonds and Karp): slow, and plain.
        fn slow(&self) -> f64 {
            let (source, sink) = (self.terminals.len(), self.terminals.len() + 1);
            let mut left = vec![vec![0f64; sink + 1]; sink + 1];
            for (node, (from_source, to_sink)) in self.terminals.iter().enumerate() {
                left[source][node] += from_source;
                left[node][sink] += to_sink;
            }
            for (one, other, capacity) in &self.edges {
                left[*one][*other] += capacity;
                left[*other][*one] += capacity;
            }
            let mut flow = 0.0;
            loop {
                let mut from = vec![usize::MAX; sink + 1];
                from[source] = source;
                let mut queue = std::collections::VecDeque::from([source]);
                while let Some(node) = queue.pop_front() {
                    for other in 0..=sink {
                        if from[other] == usize::MAX && left[node][other] > 1e-12 {
                            from[other] = node;
                            queue.push_back(other);
                        }
                    }
                }
                if from[sink] == usize::MAX {
                    return flow;
                }
                let path: Vec<(usize, usize)> =
                    std::iter::successors(Some(sink), |node| (*node != source).then(|| from[*node]))
                        .take_while(|node| *node != source)
                        .map(|node| (from[node], node))
                        .collect();
                let most = path.iter().map(|(one, other)| left[*one][*other]).fold(f64::INFINITY, f64::min);
                for (one, other) in path {
                    left[one][other] -= most;
                    left[other][one] += most;
                }
                flow += most;
            }
        }
    }

    #[test]
    fn it_is_the_flow_of_the_slow_twin_and_the_cost_of_the_cut() {
        for seed in 0..300 {
            let made = Made::random(2 + seed as usize % 23, 3 * (seed as usize % 31), seed);
            let (flow, cut) = made.cut();
            let (slow, cost) = (made.slow(), made.cost(&cut));
            assert!((flow - slow).abs() < 1e-9 && (flow - cost).abs() < 1e-9, "{seed}: {flow}, {slow}, {cost}");
        }
    }

    /// A cut that costs as much as flows is the cheapest one.
    #[test]
    fn the_cut_of_a_large_grid_costs_what_flows() {
        for seed in 0..4 {
            let made = Made::grid(90, seed);
            let (flow, cut) = made.cut();
            let cost = made.cost(&cut);
            assert!((flow - cost).abs() < 1e-7 * cost, "{flow}, {cost}");
            assert!(cut.iter().any(|with| *with) && !cut.iter().all(|with| *with));
        }
    }
}
