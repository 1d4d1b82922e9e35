//! The parser: lexemes to a tree, with its own stack, so that no text overflows the thread's.

use nautilus_analysis::Analyzer;

use crate::{
    FieldSet, Node, Operator, QueryError, QueryErrorKind, QueryLimits,
    lexer::{Lexeme, Lexer},
    operand::{Operand, all, any_beside, any_side, negate},
    validate::depth,
};

/// How words side by side combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchMode {
    /// All of them must match.
    All,
    /// One of them must match.
    Any,
}

/// Parses the query language; the crate's documentation says what it is.
///
/// The tree is well-formed and flat: no `And` directly in an `And`, no `Or` in an `Or`, no single child.
pub fn parse(
    text: &str,
    mode: MatchMode,
    limits: &QueryLimits,
    analyzer: &Analyzer,
) -> Result<Node, QueryError> {
    let mut parser = Parser::new(text, mode, limits, analyzer)?;
    let mut lexer = Lexer::new(text);
    while let Some((at, lexeme)) = lexer.next()? {
        parser.take(at, lexeme)?;
    }
    parser.finish()
}

/// Reads text without any operators: every token is a term.
pub fn literal(
    text: &str,
    mode: MatchMode,
    limits: &QueryLimits,
    analyzer: &Analyzer,
) -> Result<Node, QueryError> {
    let mut parser = Parser::new(text, mode, limits, analyzer)?;
    for token in analyzer.tokens(text) {
        parser.count_leaves(1, token.start)?;
        parser.operand(Operand::Positive(term(FieldSet::ALL, token.text)));
    }
    parser.finish()
}

/// An open group: the whole query, or a parenthesis.
struct Group {
    open: usize,
    fields: FieldSet,
    /// Sides of `OR` that are complete.
    sides: Vec<Operand>,
    /// Of the side being read, what is complete and stands side by side.
    beside: Vec<Operand>,
    /// What `AND` joins to the next operand.
    joined: Vec<Operand>,
    has_operand: bool,
    /// An `AND` stands before the next operand.
    is_joining: bool,
    /// An odd number of `NOT` stands before the next operand; where the first is.
    negated_at: Option<usize>,
    /// The operator that waits for an operand.
    pending: Option<Operator>,
}

struct Parser<'a> {
    text: &'a str,
    mode: MatchMode,
    limits: QueryLimits,
    analyzer: &'a Analyzer,
    leaves: usize,
    /// The groups around `group`, outermost first.
    outer: Vec<Group>,
    group: Group,
}

impl<'a> Parser<'a> {
    fn new(
        text: &'a str,
        mode: MatchMode,
        limits: &QueryLimits,
        analyzer: &'a Analyzer,
    ) -> Result<Self, QueryError> {
        let limits = limits.capped();
        let bytes_max = limits.text_bytes_max;
        if text.len() > bytes_max {
            let kind = QueryErrorKind::TooLong { bytes_max };
            return Err(QueryError { kind, position: bytes_max });
        }
        let group = Group::new(0, FieldSet::ALL);
        Ok(Self { text, mode, limits, analyzer, leaves: 0, outer: Vec::new(), group })
    }

    fn take(&mut self, at: usize, lexeme: Lexeme<'_>) -> Result<(), QueryError> {
        match lexeme {
            Lexeme::Operator(operator) => self.operator(operator, at)?,
            Lexeme::Open(fields) => self.open(at, fields)?,
            Lexeme::Close => self.close(at)?,
            Lexeme::Quoted(fields, text) | Lexeme::Word(fields, text) => {
                let tokens = self.analyzer.tokens(text).into_iter().map(|token| token.text);
                let operand = self.phrase(at, fields, tokens.collect())?;
                self.operand(operand);
            }
            Lexeme::Starred(fields, text) => {
                let operand = self.prefix(at, fields, text)?;
                self.operand(operand);
            }
        }
        Ok(())
    }

    fn operator(&mut self, operator: Operator, at: usize) -> Result<(), QueryError> {
        let group = &mut self.group;
        if operator == Operator::Not {
            group.negated_at = if group.negated_at.is_some() { None } else { Some(at) };
        } else {
            if let Some(operator) = group.pending {
                return Err(error(QueryErrorKind::NothingAfter { operator }, at));
            }
            if !group.has_operand {
                return Err(error(QueryErrorKind::NothingBefore { operator }, at));
            }
            if operator == Operator::And {
                group.is_joining = true;
            } else {
                group.end_side();
            }
        }
        group.pending = Some(operator);
        Ok(())
    }

    fn open(&mut self, at: usize, fields: Option<FieldSet>) -> Result<(), QueryError> {
        let parens_max = self.limits.parens_max;
        if self.outer.len() >= parens_max {
            return Err(error(QueryErrorKind::TooManyParentheses { parens_max }, at));
        }
        let inner = Group::new(at, fields.unwrap_or(self.group.fields));
        self.outer.push(std::mem::replace(&mut self.group, inner));
        Ok(())
    }

    fn close(&mut self, at: usize) -> Result<(), QueryError> {
        let Some(outer) = self.outer.pop() else {
            return Err(error(QueryErrorKind::UnopenedParenthesis, at));
        };
        let inner = std::mem::replace(&mut self.group, outer);
        let operand = self.end_group(inner, at)?;
        self.operand(operand);
        Ok(())
    }

    fn finish(mut self) -> Result<Node, QueryError> {
        if !self.outer.is_empty() {
            return Err(error(QueryErrorKind::UnclosedParenthesis, self.group.open));
        }
        let whole = std::mem::replace(&mut self.group, Group::new(0, FieldSet::ALL));
        match self.end_group(whole, self.text.len())? {
            Operand::Positive(node) => Ok(node),
            Operand::Empty => Err(error(QueryErrorKind::NoWords, 0)),
            Operand::Negative { position, .. } => {
                Err(error(QueryErrorKind::OnlyNegative, position))
            }
        }
    }

    fn end_group(&self, mut group: Group, at: usize) -> Result<Operand, QueryError> {
        if let Some(operator) = group.pending {
            return Err(error(QueryErrorKind::NothingAfter { operator }, at));
        }
        group.end_side();
        let operand = any_side(group.sides)?;
        let depth_max = self.limits.depth_max;
        let depth = match &operand {
            Operand::Empty => 0,
            Operand::Positive(node) => depth(node),
            // Each will stand under a `Not`, and that in an `And`.
            Operand::Negative { excluded, .. } => {
                excluded.iter().map(|node| depth(node) + 2).max().unwrap_or(0)
            }
        };
        if depth > depth_max {
            return Err(error(QueryErrorKind::TooDeep { depth_max }, group.open));
        }
        Ok(operand)
    }

    /// Adds an operand to the open group, with what stands before it.
    fn operand(&mut self, operand: Operand) {
        let group = &mut self.group;
        let operand = match group.negated_at.take() {
            Some(position) => negate(operand, position),
            None => operand,
        };
        if self.mode == MatchMode::Any && !group.is_joining {
            group.end_joined();
        }
        group.joined.push(operand);
        group.is_joining = false;
        group.pending = None;
        group.has_operand = true;
    }

    /// A word, or several one after the other.
    fn phrase(
        &mut self,
        at: usize,
        fields: Option<FieldSet>,
        mut tokens: Vec<String>,
    ) -> Result<Operand, QueryError> {
        self.count_leaves(tokens.len(), at)?;
        let fields = fields.unwrap_or(self.group.fields);
        Ok(match tokens.len() {
            0 => Operand::Empty,
            1 => Operand::Positive(term(fields, tokens.remove(0))),
            _ => Operand::Positive(Node::Phrase { fields, tokens }),
        })
    }

    /// A word with a star: the tokens before the last, and words that begin like the last.
    fn prefix(
        &mut self,
        at: usize,
        fields: Option<FieldSet>,
        text: &str,
    ) -> Result<Operand, QueryError> {
        let mut tokens = self.analyzer.tokens(text);
        // After a separator the star stands alone: `main.*` is `main`.
        let last = tokens.pop_if(|last| last.end == text.len());
        let before =
            self.phrase(at, fields, tokens.into_iter().map(|token| token.text).collect())?;
        let Some(last) = last else { return Ok(before) };
        self.count_leaves(1, at)?;
        let fields = fields.unwrap_or(self.group.fields);
        let prefix = Operand::Positive(Node::Prefix { fields, prefix: last.text });
        Ok(all(vec![before, prefix]))
    }

    fn count_leaves(&mut self, count: usize, at: usize) -> Result<(), QueryError> {
        self.leaves += count;
        let words_max = self.limits.leaves_max;
        if self.leaves > words_max {
            return Err(error(QueryErrorKind::TooManyWords { words_max }, at));
        }
        Ok(())
    }
}

impl Group {
    fn new(open: usize, fields: FieldSet) -> Self {
        Self {
            open,
            fields,
            sides: Vec::new(),
            beside: Vec::new(),
            joined: Vec::new(),
            has_operand: false,
            is_joining: false,
            negated_at: None,
            pending: None,
        }
    }

    fn end_joined(&mut self) {
        if !self.joined.is_empty() {
            self.beside.push(all(std::mem::take(&mut self.joined)));
        }
    }

    fn end_side(&mut self) {
        self.end_joined();
        self.sides.push(any_beside(std::mem::take(&mut self.beside)));
    }
}

fn error(kind: QueryErrorKind, position: usize) -> QueryError {
    QueryError { kind, position }
}

fn term(fields: FieldSet, token: String) -> Node {
    Node::Term { fields, token }
}
