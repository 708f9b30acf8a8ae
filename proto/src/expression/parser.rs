//! Tokens to a tree, by recursive descent with a depth limit. Refuses unknown functions and wrong numbers of
//! arguments, so that they are found before anything runs; knows nothing of which contexts exist.

use serde_json::Value;

use super::ast::{Comparison, Expression, Function, Kind, Node};
use super::error::{ErrorKind, ExpressionError};
use super::lexer::{Token, tokens};
use super::value::number_value;
use super::{EXPRESSION_MAX_BYTES, EXPRESSION_MAX_DEPTH};

impl Expression {
    /// Parses one bare expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > EXPRESSION_MAX_BYTES {
            return Err(ErrorKind::TooLong(text.len()).at(0));
        }
        let mut parser = Parser { tokens: tokens(text)?, next: 0, nesting: 0 };
        if parser.peek() == &Token::End {
            return Err(ErrorKind::Empty.at(0));
        }
        let root = parser.or()?;
        match parser.peek() {
            Token::End => Ok(Self { root }),
            found => Err(parser.expected("an operator or the end", &found.clone())),
        }
    }
}

type Parsed = Result<Node, ExpressionError>;

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    // How deep the descent is now: brackets make no node, but they use the stack.
    nesting: usize,
}

impl Parser {
    fn or(&mut self) -> Parsed {
        let first = self.and()?;
        self.chain("||", first, Self::and, Kind::Or)
    }

    fn and(&mut self) -> Parsed {
        let first = self.equality()?;
        self.chain("&&", first, Self::equality, Kind::And)
    }

    fn chain(
        &mut self,
        sign: &str,
        first: Node,
        operand: fn(&mut Self) -> Parsed,
        kind: fn(Vec<Node>) -> Kind,
    ) -> Parsed {
        if !self.at_sign(sign) {
            return Ok(first);
        }
        let offset = first.offset;
        let mut operands = vec![first];
        while self.take(sign) {
            operands.push(operand(self)?);
        }
        node(offset, kind(operands))
    }

    fn equality(&mut self) -> Parsed {
        const SIGNS: [(&str, Comparison); 2] = [("==", Comparison::Equal), ("!=", Comparison::NotEqual)];
        self.comparisons(&SIGNS, Self::ordering)
    }

    fn ordering(&mut self) -> Parsed {
        const SIGNS: [(&str, Comparison); 4] = [
            ("<", Comparison::Less),
            ("<=", Comparison::LessOrEqual),
            (">", Comparison::Greater),
            (">=", Comparison::GreaterOrEqual),
        ];
        self.comparisons(&SIGNS, Self::unary)
    }

    fn comparisons(&mut self, signs: &[(&str, Comparison)], operand: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = operand(self)?;
        while let Some((_, comparison)) = signs.iter().find(|(sign, _)| self.at_sign(sign)) {
            self.next += 1;
            let right = operand(self)?;
            left = node(left.offset, Kind::Compare(*comparison, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let offset = self.offset();
        if self.take("!") {
            let of = self.nested(Self::unary)?;
            return node(offset, Kind::Not(Box::new(of)));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Parsed {
        let mut of = self.primary()?;
        loop {
            if self.take(".") {
                of = self.property(of)?;
            } else if self.take("[") {
                of = self.index(of)?;
            } else {
                return Ok(of);
            }
        }
    }

    fn property(&mut self, of: Node) -> Parsed {
        let offset = self.offset();
        if self.take("*") {
            return node(of.offset, Kind::Filter(Box::new(of)));
        }
        let Token::Name(name) = self.peek().clone() else {
            return Err(self.expected("a property name or `*` after `.`", &self.peek().clone()));
        };
        self.next += 1;
        let name = node(offset, Kind::Literal(Value::String(name)))?;
        node(of.offset, Kind::Index(Box::new(of), Box::new(name)))
    }

    fn index(&mut self, of: Node) -> Parsed {
        let kind = if self.take("*") {
            Kind::Filter(Box::new(of))
        } else {
            let index = self.nested(Self::or)?;
            Kind::Index(Box::new(of), Box::new(index))
        };
        self.require("]", "`]`")?;
        let offset = kind.children()[0].offset;
        node(offset, kind)
    }

    fn primary(&mut self) -> Parsed {
        let (offset, token) = self.tokens[self.next].clone();
        match token {
            Token::Text(text) => self.literal(offset, Value::String(text)),
            Token::Number(number) => self.literal(offset, number_value(number)),
            Token::Name(name) => self.name(offset, &name),
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.nested(Self::or)?;
                self.require(")", "`)`")?;
                Ok(inner)
            }
            other => Err(self.expected("a value", &other)),
        }
    }

    fn name(&mut self, offset: usize, name: &str) -> Parsed {
        match name {
            "true" => return self.literal(offset, Value::Bool(true)),
            "false" => return self.literal(offset, Value::Bool(false)),
            "null" => return self.literal(offset, Value::Null),
            _ => self.next += 1,
        }
        if self.take("(") {
            return self.call(offset, name);
        }
        node(offset, Kind::Context(name.to_ascii_lowercase()))
    }

    fn call(&mut self, offset: usize, name: &str) -> Parsed {
        let function = Function::ALL
            .into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| ErrorKind::UnknownFunction(name.to_owned()).at(offset))?;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.nested(Self::or)?);
                if !self.take(",") {
                    break;
                }
            }
            self.require(")", "`,` or `)`")?;
        }
        let (fewest, most, expected) = function.arity();
        if !(fewest..=most).contains(&arguments.len()) {
            let found = arguments.len();
            return Err(ErrorKind::Arguments { function: function.name(), expected, found }.at(offset));
        }
        node(offset, Kind::Call(function, arguments))
    }

    fn literal(&mut self, offset: usize, value: Value) -> Parsed {
        self.next += 1;
        node(offset, Kind::Literal(value))
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Parsed) -> Parsed {
        self.nesting += 1;
        if self.nesting > EXPRESSION_MAX_DEPTH {
            return Err(ErrorKind::TooDeep.at(self.offset()));
        }
        let parsed = inner(self);
        self.nesting -= 1;
        parsed
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn offset(&self) -> usize {
        self.tokens[self.next].0
    }

    fn at_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let taken = self.at_sign(sign);
        self.next += usize::from(taken);
        taken
    }

    fn require(&mut self, sign: &str, expected: &'static str) -> Result<(), ExpressionError> {
        if self.take(sign) { Ok(()) } else { Err(self.expected(expected, &self.peek().clone())) }
    }

    fn expected(&self, expected: &'static str, found: &Token) -> ExpressionError {
        ErrorKind::Expected { expected, found: found.describe() }.at(self.offset())
    }
}

fn node(offset: usize, kind: Kind) -> Parsed {
    let depth = 1 + kind.children().iter().map(|child| child.depth).max().unwrap_or(0);
    if depth > EXPRESSION_MAX_DEPTH {
        return Err(ErrorKind::TooDeep.at(offset));
    }
    Ok(Node { offset, depth, kind })
}
